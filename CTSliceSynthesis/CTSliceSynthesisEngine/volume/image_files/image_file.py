"""Image files (NRRD, MetaImage, NIfTI) in, one Source out.

Their headers and voxels are read here, to the letter, and not by ITK: it takes what is missing for 1 mm, answers damage with
whatever lies in memory, and ends the process on some of it. ITK writes our results, and the tests hold both to each other.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import SynthesisError
from ...regular_file import read_regular
from ..source import Source
from . import metaimage, nifti, nrrd
from .parsed_image import MOST_HEADER, ParsedImage, number
from .stored_voxels import TIGHTEST, OddGeometryError, UnreadableError

PARSERS = {
    ".nrrd": nrrd.parse,
    ".nhdr": nrrd.parse,
    ".mha": metaimage.parse,
    ".mhd": metaimage.parse,
    ".nii": nifti.parse,
    ".nii.gz": nifti.parse,
}
"""Suffix -> what reads the header."""
THICKNESS_FIELD = "SliceThickness"  # DICOM's keyword of (0018,0050), as a free field of NRRD and MetaImage


def suffix(path: Path) -> str:
    """The suffix in lower case; ".nii.gz" counts as one."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def source(path: Path, tightest: int = TIGHTEST) -> Source:
    """The volume in an image file, its header read and checked.

    Args:
        path: of the file.
        tightest: times that its voxels can be packed.

    Raises:
        SynthesisError: "bad-input" for what is no scalar 3-D volume, "bad-geometry" for a place that cannot be.
        OSError: the file cannot be opened.
    """
    if not path.stat().st_size:
        raise SynthesisError("bad-input", f"The file {path} is empty; copy or export it again.")
    try:
        parsed = PARSERS[suffix(path)](path)
        parsed = replace(parsed, stored=replace(parsed.stored, tightest=tightest))
        _check_scalar_3d(path, parsed)
        parsed.stored.check()
    except OddGeometryError as error:
        message = f"The position of the voxels of {path} cannot be determined: the file {error}"
        raise SynthesisError(
            "bad-geometry", f"{message}; correct it, or give the DICOM folder, NRRD or MHA instead."
        ) from None
    except UnreadableError as error:
        raise _unreadable(path, error) from None
    return Source(
        name=f"The file {path}",
        size=parsed.stored.size,
        lps=parsed.lps,
        dtype=_type(parsed),
        load=lambda: _load(path, parsed),
        thickness=_thickness(path, parsed),
        fields=parsed.fields,
        warnings=parsed.warnings,
    )


def _unreadable(path: Path, error: UnreadableError) -> SynthesisError:
    message = f"The file {path} is not a readable {suffix(path)} image, it {error}"
    return SynthesisError("bad-input", f"{message}; copy or export it again.")


def _load(path: Path, parsed: ParsedImage) -> np.ndarray:
    try:
        voxels = parsed.stored.load()
    except UnreadableError as error:
        raise _unreadable(path, error) from None
    if not _is_scaled(parsed):
        return voxels
    hu = voxels * np.float64(parsed.slope) + np.float64(parsed.intercept)
    return hu.astype(_type(parsed))


def _check_scalar_3d(path: Path, parsed: ParsedImage) -> None:
    size = " x ".join(map(str, parsed.sizes))
    if parsed.components != 1:
        message = f"A CT has one real number per voxel, but {path} holds {parsed.components} components"
        raise SynthesisError("bad-input", f"{message} (a colour or vector image); save one of them as a scalar volume.")
    if len(parsed.sizes) < 3:
        message = f"A CT volume has three dimensions, but {path} is a single image of {size}"
        raise SynthesisError("bad-input", f"{message}; give a whole series in one file, or its DICOM folder.")
    if len(parsed.sizes) > 3:
        message = f"A CT volume has three dimensions, but {path} has {len(parsed.sizes)} ({size})"
        raise SynthesisError("bad-input", f"{message}; save one of its frames as a 3-D volume.")


def _is_scaled(parsed: ParsedImage) -> bool:
    return (parsed.slope, parsed.intercept) != (1.0, 0.0)


def _type(parsed: ParsedImage) -> np.dtype:
    """Stored integers stay as they are unless they are scaled: then float32, which holds every whole HU."""
    return np.dtype(np.float32) if _is_scaled(parsed) else parsed.stored.dtype.newbyteorder("=")


def _thickness(path: Path, parsed: ParsedImage) -> float | None:
    own = number(str(parsed.fields.get(THICKNESS_FIELD, "")))
    return own if own is not None and own > 0 else parsed.thickness or _told_beside(path)


def _told_beside(path: Path) -> float | None:
    """The slice thickness in the JSON file beside a NIfTI file, as dcm2niix writes it and BIDS asks for; None without one."""
    if not suffix(path).startswith(".nii"):
        return None
    try:
        beside = path.with_name(f"{path.name[: -len(suffix(path))]}.json")
        told = json.loads(read_regular(beside, MOST_HEADER).decode("utf-8-sig"))
        own = number(str(told.get(THICKNESS_FIELD, "")))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return own if own is not None and own > 0 else None
