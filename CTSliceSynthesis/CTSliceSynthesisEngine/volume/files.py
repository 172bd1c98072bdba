"""Volumes in and out of files, written whole or not at all. Grids count in RAS, as Slicer does; files and `source` in LPS."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynthesisError
from ..whole_file import part_beside, put_in_place, remove_forgotten
from . import intensity, readback
from .dicom import dicom_folder
from .grid import Grid, default_slice_axis
from .image_files import image_file
from .source import FLIP, Acquired, Source
from .source import ORIGIN as ORIGIN
from .volume import Volume

READABLE = tuple(image_file.PARSERS)
"""Suffixes of image files that can be read; besides, folders of DICOM files."""
WRITABLE = (".nrrd", ".nii", ".nii.gz", ".mha")
"""Suffixes that can be written: formats of one file, so that it can be put in place in one move."""
WRITABLE_TYPES = tuple(map(np.dtype, ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")))


NIFTI_NOTE = "descrip"
"""The one free text of NIfTI, 80 letters."""
THICKNESS_MM = (0.05, 50.0)
"""Slices of a CT are at least and at most this thick: what is outside is in another unit."""
MOST_OVERLAP = 10
"""A slice is at most so many times as thick as the distance to the next."""


@dataclass(frozen=True)
class Header:
    """What is known of a volume before its voxels are loaded.

    Attributes:
        grid: where they lie; dtype: voxel type.
        warnings: sentences for the user.
        notes: sentences for whoever asks what the file is.
        origin: how it was made, where it is a result of ours: "method", "factor", ...
    """

    grid: Grid
    dtype: np.dtype
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scan:
    """A scan that was found, its header read.

    Attributes:
        header: what is known of it.
        read: loads the voxels of this very scan; as `read` of this file, and refused where it changed meanwhile.
        acquired: the images that it is made of, where they are DICOM.
    """

    header: Header
    read: Callable[[], Volume]
    acquired: Acquired | None = None


def opened(
    path: str | os.PathLike[str],
    *,
    series: str | None = None,
    slice_axis: int | None = None,
    thickness: float | None = None,
    resample_irregular: bool = False,
) -> Scan:
    """Find a CT volume and read its header.

    Args:
        path: a file with one of READABLE's suffixes, a folder with DICOM files, or one of them.
        series: which DICOM series, where the folder holds several.
        slice_axis: 0, 1 or 2 for i, j or k; None takes DICOM's own, else the axis of the largest spacing.
        thickness: nominal slice thickness in mm; None takes the file's, if it says.
        resample_irregular: resample DICOM slices that are not evenly spaced, instead of refusing them.

    Raises:
        SynthesisError: "bad-input", "bad-geometry" or "bad-option".
    """
    found = found_at(Path(path), series, resample_irregular)
    grid, doubts = _grid(found, slice_axis, thickness)
    origin = {key[len(ORIGIN) :]: value for key, value in found.fields.items() if key.startswith(ORIGIN)}
    if found.fields.get(NIFTI_NOTE, "").startswith(ORIGIN):
        origin = {"note": found.fields[NIFTI_NOTE]}
    if origin:
        doubts.append(
            f"{found.name} is a result of CTSliceSynthesis ({_made(origin)}): most of its slices are estimates."
        )
    header = Header(grid, found.dtype, (*found.warnings, *doubts), found.notes, origin)
    return Scan(header, lambda: _read(found, header), found.acquired)


def read(path: str | os.PathLike[str], **options: Any) -> Volume:
    """Load a CT volume.

    Args:
        path, options: see `opened`.

    Returns:
        Voxels (k, j, i) in the file's type, as stored (DICOM rescaled to HU), and their grid in RAS mm.

    Raises:
        SynthesisError: "bad-input", "bad-geometry" or "bad-option".
    """
    return opened(path, **options).read()


def read_header(path: str | os.PathLike[str], **options: Any) -> Header:
    """As `read`, without loading the voxels, and so without the checks of their values."""
    return opened(path, **options).header


def _read(found: Source, header: Header) -> Volume:
    voxels = found.load()
    for problem in intensity.problems(voxels):
        raise SynthesisError("bad-input", f"{found.name}: {problem}")
    warnings = header.warnings
    if not intensity.looks_like_hu(voxels):
        message = f"{found.name} holds values from {voxels.min():g} to {voxels.max():g}, which do not look like HU"
        warnings += (f"{message}; they are taken as HU all the same, check that this is a CT.",)
    return Volume(voxels, header.grid, warnings)


def _made(origin: Mapping[str, str]) -> str:
    return (
        origin.get("content")
        or ", ".join(
            filter(
                None,
                [
                    origin.get("method", ""),
                    f"x{origin['factor']}" if "factor" in origin else "",
                    origin.get("model", ""),
                ],
            )
        )
        or "by an earlier run"
    )


def check_writable(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    overwrite: bool = False,
    source: str | os.PathLike[str] | None = None,
) -> None:
    """Find out before the work starts whether its result could be written.

    Args:
        path: of the result.
        grid: of the result.
        overwrite: whether an existing file may be replaced.
        source: file or folder that was read, which is never replaced.

    Raises:
        SynthesisError: "cannot-write" or "bad-geometry".
    """
    target = Path(path)
    folder = Path(os.path.realpath(target)).parent
    try:
        os.path.realpath(target).encode()
        target.exists()
    except UnicodeEncodeError:
        message = f"Names of results must be valid UTF-8, but {target} is not"
        raise SynthesisError("cannot-write", f"{message}; rename it or its folder.") from None
    except (OSError, ValueError) as error:
        raise _refusal(f"The file {target} cannot be written ({getattr(error, 'strerror', None) or error})") from None
    if image_file.suffix(target) not in WRITABLE:
        raise _refusal(f"Results are written as {', '.join(WRITABLE)}, but {target} ends otherwise; give one of these")
    if image_file.suffix(target).startswith(".nii") and grid.tilt_degrees:
        message = f"NIfTI cannot hold gantry tilt (here {grid.tilt_degrees:.3g} degrees)"
        raise SynthesisError("bad-geometry", f"{message}; write NRRD or MHA instead.")
    if not folder.is_dir():
        raise _refusal(f"The folder {folder} does not exist; make it first")
    if target.is_dir():
        raise _refusal(f"The result needs a file name, but {target} is a folder; give a name within it")
    if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
        raise _refusal(f"The result must not replace the input {source}; give another name")
    if target.exists() and not overwrite:
        raise _refusal(f"The file {target} exists; give another name, or allow overwriting")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(f"The folder {folder} cannot be written to; choose another, or change its permissions")


def write(
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    header: Mapping[str, str] | None = None,
) -> None:
    """Save a volume under its full name only once it is complete and has been read back; else nothing changes.

    Compressed, where the format can: at its default level NRRD took 1.1 s and 50 MB instead of 0.2 s and 81 MB for
    200 x 394 x 512 voxels of int16 (level 1: 0.7 s and 65 MB), little beside the time to make them.

    Args:
        volume: to be saved; the slice thickness is kept in NRRD and MHA.
        path: with one of WRITABLE's suffixes.
        overwrite: whether an existing file may be replaced.
        header: free text fields for NRRD and MHA; NIfTI has room for method and factor alone.

    Raises:
        SynthesisError: "cannot-write" or "bad-geometry".
    """
    write_together([(volume, path, header or {})], overwrite=overwrite)


def write_together(
    results: Sequence[tuple[Volume, str | os.PathLike[str], Mapping[str, str]]], *, overwrite: bool = False
) -> None:
    """Save several volumes: none gets its name before all are complete; else as `write`.

    Args:
        results: volume, path and header of each.
        overwrite: whether existing files may be replaced.
    """
    for volume, path, _ in results:
        check_writable(path, volume.grid, overwrite=overwrite)
    targets = [Path(os.path.realpath(path)) for _, path, _ in results]  # a link stays; what it points to is replaced
    for folder in {target.parent for target in targets}:
        remove_forgotten(folder)
    parts = [part_beside(target, image_file.suffix(target)) for target in targets]
    at = 0
    try:
        for at, (volume, _, header) in enumerate(results):
            _save(volume, parts[at], header)
        put_in_place(parts, targets, overwrite=overwrite)
    except FileExistsError as error:
        message = f"The file {error.filename2 or error.filename} was written by another process in the meantime"
        raise SynthesisError("cannot-write", f"{message}; give another name, or allow overwriting.") from None
    except (OSError, RuntimeError) as error:
        reason = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
        message = f"The file {targets[at]} could not be written completely{reason}"
        raise _refusal(f"{message}; check free space and permissions, nothing was changed") from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _refusal(message: str) -> SynthesisError:
    return SynthesisError("cannot-write", f"{message}.")


def found_at(path: Path, series: str | None = None, resample_irregular: bool = False) -> Source:
    """Find what kind of input this is, and measure it; as `opened`."""
    try:
        if path.is_dir():
            return dicom_folder.source(path, series=series, resample_irregular=resample_irregular)
        if not path.exists():
            raise SynthesisError("bad-input", f"The file {path} does not exist; check its name.")
        if not path.is_file():
            raise SynthesisError("bad-input", f"{path} is neither a file nor a folder; give a scan.")
        if image_file.suffix(path) in READABLE:
            return image_file.source(path)
        if dicom_folder.is_dicom(path):
            return dicom_folder.source(path, series=series, resample_irregular=resample_irregular)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        message = f"{path} cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise SynthesisError("bad-input", f"{message}; check its name and permissions.") from None
    message = f"Volumes are read from {', '.join(READABLE)} or DICOM, but {path} is none of these"
    raise SynthesisError("bad-input", f"{message}; convert it first.")


def _grid(found: Source, slice_axis: int | None, thickness: float | None) -> tuple[Grid, list[str]]:
    """Where the voxels lie, and what of the header was not believed."""
    if slice_axis not in (None, 0, 1, 2):
        message = f"The slice axis is 0, 1 or 2 (i, j or k), not {slice_axis!r}"
        raise SynthesisError("bad-option", f"{message}; give one of these.")
    grid = Grid(found.size, FLIP @ found.lps, 2)
    own = default_slice_axis(grid.spacing) if found.slice_axis is None else found.slice_axis
    grid = replace(grid, slice_axis=own if slice_axis is None else slice_axis)
    if grid.slice_count < 2:
        message = f"At least two slices are needed, but {found.name[0].lower()}{found.name[1:]} has {grid.slice_count}"
        raise SynthesisError("bad-input", f"{message} along {'ijk'[grid.slice_axis]}; give a whole series.")
    most = min(THICKNESS_MM[1], MOST_OVERLAP * grid.slice_distance)
    if thickness is not None and not THICKNESS_MM[0] <= thickness <= most:
        message = f"The slice thickness must lie from {THICKNESS_MM[0]:g} to {most:.4g} mm for slices"
        message += f" {grid.slice_distance:.4g} mm apart, not at {thickness:g}"
        raise SynthesisError("bad-option", f"{message}; leave it out if it is unknown.")
    doubts = []
    if thickness is None and found.thickness is not None and not THICKNESS_MM[0] <= found.thickness <= most:
        doubts.append(
            f"{found.name} gives a slice thickness of {found.thickness:g} mm, for slices {grid.slice_distance:.4g} mm apart:"
            " it is taken as unknown."
        )
        return grid, doubts
    return replace(grid, thickness=found.thickness if thickness is None else float(thickness)), doubts


def _save(volume: Volume, path: Path, header: Mapping[str, str]) -> None:
    """Write, make it durable, and compare with what was meant: ITK calls a NIfTI file on a full disk a success."""
    import SimpleITK as sitk  # reading does without it

    sitk.WriteImage(_image(volume, header), str(path), useCompression=True)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if not readback.holds(path, image_file.suffix(path), volume.voxels):
        raise OSError("what was read back is not what was written")


def _image(volume: Volume, header: Mapping[str, str]) -> Any:
    """The volume as SimpleITK's image."""
    import SimpleITK as sitk

    if volume.voxels.dtype not in WRITABLE_TYPES:
        message = f"Voxels of type {volume.voxels.dtype} fit no file format"
        raise _refusal(f"{message}; convert them to int16 or float32")
    image = sitk.GetImageFromArray(volume.voxels)
    grid = volume.grid
    lps = FLIP @ grid.matrix
    image.SetSpacing(grid.spacing)
    image.SetDirection((lps[:3, :3] / np.array(grid.spacing)).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    fields = dict(header) | (
        {} if grid.thickness is None else {image_file.THICKNESS_FIELD: repr(float(grid.thickness))}
    )
    for key, value in fields.items():
        image.SetMetaData(key, " ".join(str(value).split()) or "-")  # one line each; MetaImage drops empty ones
    if header:  # what ITK writes as NIfTI's description
        image.SetMetaData(
            "ITK_FileNotes", f"{ORIGIN}{header.get(f'{ORIGIN}method', '')} x{header.get(f'{ORIGIN}factor', '')}"
        )
    return image
