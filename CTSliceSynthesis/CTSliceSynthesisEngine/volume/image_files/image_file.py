"""Reading of image files (NRRD, MetaImage, NIfTI) into a Source.

Headers and voxels are parsed strictly here rather than by ITK, which assumes 1 mm for missing spacings, returns uninitialized
memory for some damaged files, and crashes on others. ITK writes our results, and the tests compare both.
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
"""Suffix -> header parser."""
THICKNESS_FIELD = "SliceThickness"  # DICOM's keyword of (0018,0050), as a free field of NRRD and MetaImage


def suffix(path: Path) -> str:
    """Return the suffix in lower case; ".nii.gz" counts as one suffix."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def source(path: Path, tightest: int = TIGHTEST) -> Source:
    """Read and check the header of an image file.

    Args:
        path: of the file.
        tightest: highest plausible compression ratio of its voxels.

    Raises:
        SynthesisError: "bad-input" if it is not a scalar 3-D volume, "bad-geometry" for an invalid geometry.
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
        raise SynthesisError("bad-input", f"{message} (a color or vector image); save one of them as a scalar volume.")
    if len(parsed.sizes) < 3:
        message = f"A CT volume has three dimensions, but {path} is a single image of {size}"
        raise SynthesisError("bad-input", f"{message}; give a whole series in one file, or its DICOM folder.")
    if len(parsed.sizes) > 3:
        message = f"A CT volume has three dimensions, but {path} has {len(parsed.sizes)} ({size})"
        raise SynthesisError("bad-input", f"{message}; save one of its frames as a 3-D volume.")


def _is_scaled(parsed: ParsedImage) -> bool:
    return (parsed.slope, parsed.intercept) != (1.0, 0.0)


def _type(parsed: ParsedImage) -> np.dtype:
    """Return the stored type, or float32 for scaled values, which represents every integer HU."""
    return np.dtype(np.float32) if _is_scaled(parsed) else parsed.stored.dtype.newbyteorder("=")


def _thickness(path: Path, parsed: ParsedImage) -> float | None:
    thickness_mm = number(str(parsed.fields.get(THICKNESS_FIELD, "")))
    return (
        thickness_mm if thickness_mm is not None and thickness_mm > 0 else parsed.thickness or _sidecar_thickness(path)
    )


def _sidecar_thickness(path: Path) -> float | None:
    """Return the slice thickness from the JSON sidecar of a NIfTI file (dcm2niix, BIDS), or None."""
    if not suffix(path).startswith(".nii"):
        return None
    try:
        sidecar = path.with_name(f"{path.name[: -len(suffix(path))]}.json")
        content = json.loads(read_regular(sidecar, MOST_HEADER).decode("utf-8-sig"))
        thickness_mm = number(str(content.get(THICKNESS_FIELD, "")))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return thickness_mm if thickness_mm is not None and thickness_mm > 0 else None
