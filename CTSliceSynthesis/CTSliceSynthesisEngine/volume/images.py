"""Image files (NRRD, MetaImage, NIfTI) in, one Source out; with the checks that ITK leaves out."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import SynthesisError
from .source import Source

IMAGE_IO = {
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
}
"""Suffix -> ITK's reader. Named, since ITK would otherwise try them all, down to photographs."""
TYPES = {
    sitk.sitkInt8: np.int8, sitk.sitkUInt8: np.uint8, sitk.sitkInt16: np.int16, sitk.sitkUInt16: np.uint16,
    sitk.sitkInt32: np.int32, sitk.sitkUInt32: np.uint32, sitk.sitkInt64: np.int64, sitk.sitkUInt64: np.uint64,
    sitk.sitkFloat32: np.float32, sitk.sitkFloat64: np.float64,
}  # fmt: skip
"""ITK's scalar pixel types -> NumPy's."""
THICKNESS_FIELD = "SliceThickness"  # DICOM's keyword of (0018,0050), as a free field of NRRD and MetaImage
CHUNK = 1 << 20  # bytes


def suffix(path: Path) -> str:
    """The suffix in lower case; ".nii.gz" counts as one."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def source(path: Path) -> Source:
    """The volume in an image file, its header read and checked.

    Raises:
        SynthesisError: "bad-input" for what is no scalar 3-D volume, "bad-geometry" for a place that cannot be.
    """
    if not path.stat().st_size:
        raise SynthesisError("bad-input", f"The file {path} is empty; copy or export it again.")
    reader = _reader(path)
    _check_scalar_3d(path, reader)
    if suffix(path) in (".nii", ".nii.gz"):
        _check_straight(path, reader)
    return Source(
        name=f"The file {path}",
        size=reader.GetSize(),
        lps=_lps(path, reader),
        dtype=np.dtype(TYPES[reader.GetPixelID()]),
        load=lambda: sitk.GetArrayFromImage(_load(path, reader)),
        thickness=_thickness(reader),
    )


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(IMAGE_IO[suffix(path)])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise _tilted(path) from None
        message = f"The file {path} is not a readable {suffix(path)} image, or its data file is missing"
        raise SynthesisError("bad-input", f"{message}; export it again.") from None
    return reader


def _load(path: Path, reader: sitk.ImageFileReader) -> sitk.Image:
    try:
        if not _is_whole(path, reader):
            raise _damaged(path)
        return reader.Execute()
    except RuntimeError:
        raise _damaged(path) from None


def _damaged(path: Path) -> SynthesisError:
    return SynthesisError("bad-input", f"The file {path} is cut short or damaged; copy or export it again.")


def _tilted(path: Path) -> SynthesisError:
    message = f"NIfTI files with sheared axes (gantry tilt) cannot be read, as {path}"
    return SynthesisError("bad-geometry", f"{message}; give the DICOM folder, NRRD or MHA instead.")


def _check_scalar_3d(path: Path, reader: sitk.ImageFileReader) -> None:
    size = " x ".join(map(str, reader.GetSize()))
    if reader.GetDimension() < 3:
        message = f"A CT volume has three dimensions, but {path} is a single image of {size}"
        raise SynthesisError("bad-input", f"{message}; give a whole series in one file, or its DICOM folder.")
    if reader.GetDimension() > 3:
        message = f"A CT volume has three dimensions, but {path} has {reader.GetDimension()} ({size})"
        raise SynthesisError("bad-input", f"{message}; save one of its frames as a 3-D volume.")
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelID() not in TYPES:
        message = f"A CT has one real number per voxel, but {path} holds {reader.GetNumberOfComponents()} components"
        raise SynthesisError("bad-input", f"{message} (a colour or vector image); save one of them as a scalar volume.")


def _lps(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    spacing = np.array(reader.GetSpacing())
    if not spacing.all():
        message = f"Spacings must be above 0 mm, but in {path} they are {reader.GetSpacing()}"
        raise SynthesisError("bad-geometry", f"{message}; correct them.")
    lps = np.eye(4)
    lps[:3, :3] = np.array(reader.GetDirection()).reshape(3, 3) * spacing
    lps[:3, 3] = reader.GetOrigin()
    return lps


def _thickness(reader: sitk.ImageFileReader) -> float | None:
    try:
        found = float(reader.GetMetaData(THICKNESS_FIELD)) if reader.HasMetaDataKey(THICKNESS_FIELD) else 0.0
    except ValueError:
        return None
    return found if 0 < found < math.inf else None


def _check_straight(path: Path, reader: sitk.ImageFileReader) -> None:
    """ITK falls back on the other transform of the header when the chosen one is sheared, and says so to nobody."""
    rows = [f"srow_{axis}" for axis in "xyz"]
    if not all(map(reader.HasMetaDataKey, ["sform_code", *rows])) or float(reader.GetMetaData("sform_code")) == 0:
        return
    columns = np.array([[float(number) for number in reader.GetMetaData(row).split()[:3]] for row in rows])
    lengths = np.linalg.norm(columns, axis=0)
    if lengths.all() and np.abs((columns / lengths).T @ (columns / lengths) - np.eye(3)).max() > 1e-3:
        raise _tilted(path)


def _is_whole(path: Path, reader: sitk.ImageFileReader) -> bool:
    """False for damage that ITK answers with garbage: NIfTI cut short, MetaImage that does not unpack."""
    try:
        if suffix(path) in (".mha", ".mhd"):
            return _unpacks(path)
        fields = {key: float(reader.GetMetaData(key)) for key in ("bitpix", "vox_offset") if reader.HasMetaDataKey(key)}
        if len(fields) < 2:  # no NIfTI
            return True
        expected = fields["vox_offset"] + math.prod(reader.GetSize()) * fields["bitpix"] / 8
        return _unpacked_size(path) >= expected
    except (OSError, EOFError, zlib.error):
        return False


def _unpacked_size(path: Path) -> int:
    """Bytes in a file, or in what it packs, then with its checksum verified on the way."""
    with path.open("rb") as raw:
        if raw.read(2) != b"\x1f\x8b":  # some .nii.gz are not compressed, and ITK reads them all the same
            return path.stat().st_size
    with gzip.open(path) as file:
        return sum(map(len, iter(lambda: file.read(CHUNK), b"")))


def _unpacks(path: Path) -> bool:
    """False if a MetaImage says that its data is compressed and this does not end as it should."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields and (line := file.readline(CHUNK)):
            key, _, value = line.decode("utf-8", "replace").partition("=")
            fields[key.strip()] = value.strip()
        name = fields.get("ElementDataFile", "")
        if fields.get("CompressedData", "").lower() != "true" or name.startswith("LIST") or "%" in name:
            return True
        if name.upper() == "LOCAL":
            return _inflates(file)
    with (path.parent / name).open("rb") as file:
        return _inflates(file)


def _inflates(file: BinaryIO) -> bool:
    """True if the rest of the file is a complete zlib or gzip stream; zlib.error if a checksum is wrong."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: zlib or gzip, by its first bytes
    while not unpacker.eof and (packed := file.read(CHUNK)):
        while packed:
            unpacker.decompress(packed, CHUNK)
            packed = unpacker.unconsumed_tail
    return unpacker.eof
