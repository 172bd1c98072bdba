"""DICOM files in, one Source out: reads headers and pixels; `stacks` says what belongs together and where."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import SynthesisError
from .source import Source
from .stacks import Placement, Slice, Stack, chosen, placement, stacks

SUFFIXES = (".dcm", ".ima", ".dicom")
CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(\.[12])?\0")
"""SOP classes of CT images, and with .1 or .2 of enhanced and converted ones: the standard's part PS3.4, annex B.5."""
PHASE_TAGS = (
    "0020|0012", "0020|0100", "0018|1060", "0020|9241", "0018|0086", "0018|0060", "0008|0008", "0018|1210", "0008|0032",
)  # fmt: skip
"""Acquisition number, temporal position, trigger time, ...: the tags of stacks.PHASES."""

PATIENT_TAG = "0010|0020"


def is_dicom(path: Path) -> bool:
    """True if the file says so: by its first bytes, or by its suffix."""
    return path.suffix.lower() in SUFFIXES or _start(path)[128:132] == b"DICM"


def source(path: Path, *, series: str | None = None, resample_irregular: bool = False) -> Source:
    """The stack in a folder, or the one that a file belongs to.

    Args:
        path: a folder with DICOM files (its subfolders are not searched), or one of the files.
        series: name of the stack, where there are several.
        resample_irregular: see stacks.placement.

    Raises:
        SynthesisError: "bad-input" or "bad-geometry".
    """
    if path.is_file():
        own = list(_slices(path))
        series = series or (own[0].series if own else None)
        path = path.parent
    stack = chosen(stacks_in(path), series, f"The folder {path}")
    where = placement(stack, resample_irregular=resample_irregular)
    return _source(stack, where)


def stacks_in(folder: Path) -> list[Stack]:
    """Every stack of images in the files of a folder, for a list to choose from.

    Raises:
        SynthesisError: "bad-input" if there is none, or a CT file is damaged.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [image for path in files for image in _slices(path)]
    if not found:
        message = f"The folder {folder} holds no DICOM images with a position in the patient"
        raise SynthesisError("bad-input", f"{message}; give the folder that holds the files of a CT series itself.")
    return stacks(found)


def _source(stack: Stack, where: Placement) -> Source:
    first, count = stack.slices[0], len(stack.slices) if where.at is None else len(where.at)
    thicknesses = [image.thickness for image in stack.slices]
    warnings = () if where.at is None else (
        f"The slices were not evenly spaced: {len(stack.slices)} were resampled linearly to {count}, "
        f"{np.linalg.norm(where.lps[:3, 2]):.4g} mm apart, so that they are no longer exactly those acquired.",
    )  # fmt: skip
    return Source(
        name=f"The series {stack.name}",
        size=(first.columns, first.rows, count),
        lps=where.lps,
        dtype=_type(stack),
        load=lambda: _voxels(stack, where),
        slice_axis=2,
        thickness=thicknesses[0] if len(set(thicknesses)) == 1 else None,
        warnings=warnings,
    )


def _voxels(stack: Stack, where: Placement) -> np.ndarray:
    """HU of the stack (k, j, i): int16 where all values are whole and fit, else int32 or float32."""
    first = stack.slices[0]
    voxels = np.empty((len(stack.slices), first.rows, first.columns), _type(stack))
    for index, pixels in enumerate(_pixels(stack)):
        if voxels.dtype == np.int16 and not _fits_int16(pixels):
            voxels = voxels.astype(np.int32)
        voxels[index] = pixels
    return voxels if where.at is None else _at(voxels, where.at)


def _pixels(stack: Stack) -> Iterator[np.ndarray]:
    """The images' rescaled pixels (rows, columns), in the order of the stack; a file with many frames is read once."""
    opened, frames = None, np.empty(0)
    for image in stack.slices:
        if image.path != opened:
            opened, frames = image.path, _read(image.path)
        if frames[image.frame].shape != (image.rows, image.columns):
            raise _damaged(image.path)
        yield frames[image.frame]


def _read(path: Path) -> np.ndarray:
    """(frames, rows, columns) of one file."""
    try:
        return sitk.GetArrayFromImage(_reader(path).Execute())
    except RuntimeError:
        raise _damaged(path) from None


def _type(stack: Stack) -> np.dtype:
    return np.dtype(np.int16 if all(image.is_whole for image in stack.slices) else np.float32)


def _fits_int16(pixels: np.ndarray) -> bool:
    limits = np.iinfo(np.int16)
    return bool(pixels.min() >= limits.min and pixels.max() <= limits.max)


def patient(path: Path) -> str | None:
    """A hash of the patient's identifier in a DICOM file, or in the first one of a folder; None where there is none.

    Two scans with one hash show one patient. The identifier itself is not kept.
    """
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    first = next((file for file in files if is_dicom(file)), None)
    if first is None:
        return None
    reader = _reader(first)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    identifier = reader.GetMetaData(PATIENT_TAG).strip(" \0") if reader.HasMetaDataKey(PATIENT_TAG) else ""
    return hashlib.blake2b(identifier.encode(), digest_size=12).hexdigest() if identifier else None


def _at(voxels: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Slices at fractional indices, linearly, in the same type."""
    regular = np.empty((len(at), *voxels.shape[1:]), voxels.dtype)
    for index, place in enumerate(at):
        low = min(int(place), len(voxels) - 2)
        share = place - low
        blend = (1 - share) * voxels[low] + share * voxels[low + 1]
        regular[index] = np.rint(blend) if voxels.dtype.kind in "iu" else blend
    return regular


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1024)
    except OSError:
        return b""


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _damaged(path: Path) -> SynthesisError:
    return SynthesisError("bad-input", f"The DICOM file {path} is cut short or damaged; copy or export it again.")


def _slices(path: Path) -> Iterator[Slice]:
    """The images in one file: none if it is no DICOM image, or one without a place in the patient."""
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # Reports and structures hold no image and are passed over; a CT that cannot be read would be a missing slice.
        start = _start(path)
        if CT_IMAGE.search(start) or (path.suffix.lower() in SUFFIXES and start[128:132] != b"DICM"):
            raise _damaged(path) from None
        return
    if reader.GetNumberOfComponents() != 1:
        return
    frames = reader.GetSize()[2] if reader.GetDimension() > 2 else 1
    places = _frame_places(path, frames) if frames > 1 else [_place(reader)]
    yield from (_slice(path, reader, frame, place) for frame, place in enumerate(places) if place)


def _slice(path: Path, reader: sitk.ImageFileReader, frame: int, place: dict[str, tuple[float, ...]]) -> Slice:
    def text(tag: str) -> str:
        return reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    rows_apart, columns_apart = place["spacing"]
    thickness = place["thickness"][0] if place["thickness"] else 0.0
    return Slice(
        path=path,
        frame=frame,
        uid=text("0008|0018"),
        series=text("0020|000e"),
        description=" ".join(text("0008|103e").split()),
        columns=reader.GetSize()[0],
        rows=reader.GetSize()[1],
        pixel_spacing=(columns_apart, rows_apart),
        position=place["position"],
        orientation=place["orientation"],
        thickness=thickness if thickness > 0 else None,
        is_whole=reader.GetPixelID() not in (sitk.sitkFloat32, sitk.sitkFloat64),
        is_localizer="LOCALIZER" in text("0008|0008").upper(),
        phase=tuple(text(tag) for tag in PHASE_TAGS),
    )


# name -> tag, and how many numbers it holds
PLACE = {
    "position": ("0020|0032", 3),
    "orientation": ("0020|0037", 6),
    "spacing": ("0028|0030", 2),
    "thickness": ("0018|0050", 1),
}


def _place(reader: sitk.ImageFileReader) -> dict[str, tuple[float, ...]] | None:
    """Where a single image lies; None if it does not say."""
    texts = {name: reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else "" for name, (tag, _) in PLACE.items()}
    place = {name: _numbers(text, PLACE[name][1]) for name, text in texts.items()}
    return place if all(place[name] for name in PLACE if name != "thickness") else None


def _frame_places(path: Path, frames: int) -> list[dict[str, tuple[float, ...]] | None]:
    """Where each frame of a multi-frame file lies.

    SimpleITK hands out no nested tags, and calls irregular or repeated frames regular; so the values are taken from the
    bytes, and a file whose values are not as many as its frames (or one for all) is refused.
    """
    data = path.read_bytes()
    found = {name: [_numbers(text, count) for text in _values(data, tag)] for name, (tag, count) in PLACE.items()}
    rescales = [set(_values(data, tag)) for tag in ("0028|1052", "0028|1053")]
    each = {name: values * frames if len(values) == 1 else values for name, values in found.items()}
    whole = all(len(each[name]) == frames and all(each[name]) for name in PLACE if name != "thickness")
    if not whole or max(map(len, rescales)) > 1:
        message = f"Not all frames of the multi-frame DICOM file {path} say where they lie and how they are scaled"
        raise SynthesisError("bad-input", f"{message}; convert it to single-frame DICOM or NRRD.")
    thickness = each["thickness"] if len(each["thickness"]) == frames else [()] * frames
    return [{name: (each | {"thickness": thickness})[name][frame] for name in PLACE} for frame in range(frames)]


def _values(data: bytes, tag: str) -> list[str]:
    """All values of a decimal-string tag, nested or not, in little-endian DICOM with explicit or implicit types."""
    group, element = (int(part, 16).to_bytes(2, "little") for part in tag.split("|"))
    elements = re.finditer(re.escape(group + element) + rb"(?:DS(..)|(..)\0\0)", data, re.DOTALL)
    spans = [(match.end(), int.from_bytes(match[1] or match[2], "little")) for match in elements]
    texts = [data[start : start + length] for start, length in spans]
    return [text.decode("ascii").strip(" \0") for text in texts if re.fullmatch(rb"[-+0-9.eE\\ \0]+", text)]


def _numbers(text: str, count: int) -> tuple[float, ...]:
    """The `count` numbers of a DICOM text; empty if it holds anything else."""
    try:
        numbers = tuple(float(part) for part in text.strip(" \0").split("\\"))
    except ValueError:
        return ()
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else ()
