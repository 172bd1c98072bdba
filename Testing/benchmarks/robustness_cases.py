"""Inputs for `robustness.py`: image files and DICOM folders, most of them damaged, each with its required outcome."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (12, 10, 8)  # i, j, k
SPACING = (0.7, 0.8, 5.0)
ORIGIN = (-10.0, 20.0, -30.0)  # LPS
RIGHT, REFUSED, EITHER, SAFE = "right", "refused", "right or refused", "ends well"
"""Required outcomes. SAFE is for random damage, which may produce another valid file with unknown values."""

VOXELS = np.random.default_rng(0).integers(-1000, 1500, SIZE[::-1]).astype(np.int16)


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: the defect.
        make: writes the input to an empty folder, and returns the path for the command.
        expected: RIGHT, REFUSED, EITHER or SAFE.
    """

    name: str
    make: Callable[[Path], Path]
    expected: str


def nrrd(voxels: bytes = VOXELS.tobytes(), encoding: str = "raw", **changed: str | None) -> bytes:
    """Return an NRRD file; fields that are None are omitted."""
    fields: dict[str, str | None] = {
        "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "12 10 8",
        "space directions": "(0.7,0,0) (0,0.8,0) (0,0,5)", "kinds": "domain domain domain", "endian": "little",
        "encoding": encoding, "space origin": "(-10,20,-30)",
    }  # fmt: skip
    fields |= {key.replace("_", " "): value for key, value in changed.items()}
    head = "".join(f"{key}: {value}\n" for key, value in fields.items() if value is not None)
    return b"NRRD0004\n" + head.encode() + b"\n" + voxels


def mha(voxels: bytes = VOXELS.tobytes(), **changed: str | None) -> bytes:
    """Return a MetaImage file; fields that are None are omitted."""
    fields: dict[str, str | None] = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "-10 20 -30",
        "ElementSpacing": "0.7 0.8 5", "DimSize": "12 10 8", "ElementType": "MET_SHORT",
    }  # fmt: skip
    fields |= changed
    last = fields.pop("ElementDataFile", "LOCAL")
    head = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    return head.encode() + f"ElementDataFile = {last}\n".encode() + voxels


def nifti(sform: list[float] | None = None, **changed: tuple[str, int, Any]) -> bytes:
    """Return a NIfTI file; each change is a struct format, an offset in the header, and the value or values."""
    head = bytearray(352)
    rows = [-0.7, 0, 0, 10, 0, -0.8, 0, -20, 0, 0, 5, -30] if sform is None else sform
    fields: dict[str, tuple[str, int, Any]] = {
        "size": ("i", 0, 348), "dim": ("8h", 40, (3, *SIZE, 1, 1, 1, 1)), "type": ("2h", 70, (4, 16)),
        "pixdim": ("8f", 76, (1, *SPACING, 0, 0, 0, 0)), "offset": ("f", 108, 352.0), "slope": ("2f", 112, (1, 0)),
        "units": ("b", 123, 2), "codes": ("2h", 252, (0, 1)), "sform": ("12f", 280, rows), "magic": ("4s", 344, b"n+1\0"),
    }  # fmt: skip
    for code, offset, value in (fields | changed).values():
        struct.pack_into(f"<{code}", head, offset, *(value if isinstance(value, (tuple, list)) else (value,)))
    return bytes(head) + VOXELS.tobytes()


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


RAW = VOXELS.tobytes()


def image_cases() -> Iterator[Case]:
    """Return image files with a known correct answer."""
    return chain(_nrrd_cases(), _mha_cases(), _nifti_cases())


def _nrrd_cases() -> Iterator[Case]:
    packed = gzip.compress(RAW)
    bomb = gzip.compress(bytes(200_000_000), 9)
    for name, content, expected in (
        ("plain", nrrd(), RIGHT),
        ("gzip", nrrd(packed, "gzip"), RIGHT),
        ("spacing nan", nrrd(space_directions="(0.7,0,0) (0,0.8,0) (0,0,nan)"), REFUSED),
        ("spacing none", nrrd(space_directions="(0.7,0,0) (0,0.8,0) none"), REFUSED),
        ("no spacing", nrrd(space_directions=None, space_origin=None, space=None), REFUSED),
        ("centimeters", nrrd(space_directions="(0.07,0,0) (0,0.08,0) (0,0,0.5)", space_origin="(-1,2,-3)",
                             space_units='"cm" "cm" "cm"'), RIGHT),
        ("miles", nrrd(space_units='"mi" "mi" "mi"'), REFUSED),
        ("origin nan", nrrd(space_origin="(nan,0,0)"), REFUSED),
        ("sizes too large", nrrd(sizes="12 10 99"), REFUSED),
        ("sizes too small", nrrd(sizes="12 10 7"), REFUSED),
        ("sizes huge", nrrd(sizes="1000000000 1000000000 1000000000"), REFUSED),
        ("sizes negative", nrrd(sizes="12 10 -8"), REFUSED),
        ("dimension 1e6", nrrd(dimension="1000000"), REFUSED),
        ("encoding unknown", nrrd(encoding="zstd"), REFUSED),
        ("no endian", nrrd(endian=None), REFUSED),
        ("cut short", nrrd()[:-3], REFUSED),
        ("longer", nrrd() + b"more", REFUSED),
        ("packed too short", nrrd(packed[:-9], "gzip"), REFUSED),
        ("packed wrong checksum", nrrd(packed[:-6] + b"\0\0" + packed[-4:], "gzip"), REFUSED),
        ("packed too much", nrrd(gzip.compress(RAW + b"12"), "gzip"), REFUSED),
        ("bomb", nrrd(bomb, "gzip", sizes="12 10 833333"), REFUSED),
        ("data file outside", nrrd(b"", data_file="../../../etc/passwd"), REFUSED),
        ("data file a device", nrrd(b"", data_file="/dev/zero"), REFUSED),
        ("data file of many", nrrd(b"", data_file="%n%n%s%s"), REFUSED),
        ("NUL in header", nrrd(space_origin="(-10,20,\0)"), REFUSED),
        ("no end of header", nrrd().split(b"\n\n")[0], REFUSED),
    ):  # fmt: skip
        yield Case(f"nrrd: {name}", _file("scan.nrrd", content), expected)


def _mha_cases() -> Iterator[Case]:
    deflated = zlib.compress(RAW)
    for name, content, expected in (
        ("plain", mha(), RIGHT),
        ("zlib", mha(deflated, CompressedData="True", CompressedDataSize=str(len(deflated))), RIGHT),
        ("offset nan", mha(Offset="nan 0 0"), REFUSED),
        ("spacing 0", mha(ElementSpacing="0.7 0.8 0"), REFUSED),
        ("no spacing", mha(ElementSpacing=None), REFUSED),
        ("slope", mha((VOXELS // 2 * 2).tobytes(), ElementToIntensityFunctionSlope="0"), REFUSED),
        ("packed too short", mha(deflated[:-9], CompressedData="True"), REFUSED),
        ("packed too little", mha(zlib.compress(RAW[:-8]), CompressedData="True"), REFUSED),
        ("packed too much", mha(zlib.compress(RAW + RAW), CompressedData="True"), REFUSED),
        ("packed size wrong", mha(deflated, CompressedData="True", CompressedDataSize="7"), REFUSED),
        ("NDims -1", mha(NDims="-1"), REFUSED),
        ("NDims 1e6", mha(NDims="1000000"), REFUSED),
        ("LIST", mha(b"", ElementDataFile="LIST"), REFUSED),
        ("format string", mha(b"", ElementDataFile="%s%n 1 9 1"), REFUSED),
        ("long data file", mha(b"", ElementDataFile="a" * 5000), REFUSED),
        ("matrix not of unit length", mha(TransformMatrix="2 0 0 0 1 0 0 0 1"), REFUSED),
        ("singular matrix", mha(TransformMatrix="1 0 0 1 0 0 0 0 1"), REFUSED),
        ("color", mha(RAW * 3, ElementNumberOfChannels="3"), REFUSED),
    ):
        yield Case(f"mha: {name}", _file("scan.mha", content), expected)


def _nifti_cases() -> Iterator[Case]:
    close = [-0.7, 0, 0, 10, 0, -0.8, 0, -20, 0, 0.00005, 5, -30]
    for name, content, expected in (
        ("plain", nifti(), RIGHT),
        ("sheared", nifti([-0.7, 0.1, 0, 10, 0, -0.8, 0, -20, 0, 0, 5, -30]), REFUSED),
        ("tilted", nifti([-0.7, 0, 0, 10, 0, -0.8, 1, -20, 0, 0, 5, -30]), REFUSED),
        ("orthogonal but for rounding", nifti(close), RIGHT),
        ("pixdim differs from sform", nifti(pixdim=("8f", 76, (1, 1, 1, 1, 0, 0, 0, 0))), RIGHT),
        ("pixdim 0", nifti(pixdim=("8f", 76, (1, 0.7, 0.8, 0, 0, 0, 0, 0)), codes=("2h", 252, (1, 0))), REFUSED),
        ("pixdim nan", nifti(pixdim=("8f", 76, (1, 0.7, 0.8, np.nan, 0, 0, 0, 0)), codes=("2h", 252, (1, 0))), REFUSED),
        ("sform nan", nifti([np.nan] * 12), REFUSED),
        ("dim negative", nifti(dim=("8h", 40, (3, -12, 10, 8, 1, 1, 1, 1))), REFUSED),
        ("dim too large", nifti(dim=("8h", 40, (3, 32767, 32767, 32767, 1, 1, 1, 1))), REFUSED),
        ("offset nan", nifti(offset=("f", 108, np.nan)), REFUSED),
        ("slope inf", nifti(slope=("2f", 112, (np.inf, 0))), REFUSED),
        ("packed", gzip.compress(nifti()), RIGHT),
        ("packed, cut short", gzip.compress(nifti())[:-20], REFUSED),
        ("packed, trailing bytes", gzip.compress(nifti()) + b"more", REFUSED),
    ):
        yield Case(f"nifti: {name}", _file("scan.nii.gz", content), expected)


def damaged_images(count: int, seed: int) -> Iterator[Case]:
    """Return valid files with a few bytes changed, removed, duplicated or inserted, mostly in the header."""
    rng = np.random.default_rng(seed)
    files = {
        "scan.nrrd": nrrd(), "packed.nrrd": nrrd(gzip.compress(VOXELS.tobytes()), "gzip"), "scan.mha": mha(),
        "packed.mha": mha(zlib.compress(VOXELS.tobytes()), CompressedData="True"), "scan.nii": nifti(),
        "packed.nii.gz": gzip.compress(nifti()),
    }  # fmt: skip
    for index in range(count):
        name = list(files)[index % len(files)]
        yield Case(f"{name}, damage {index}", _file(name, damage(files[name], rng)), SAFE)


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with one to four random changes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, min(len(data), 400) if rng.random() < 0.8 else len(data)))
        kind = rng.integers(0, 6)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[at] = int(rng.integers(0, 256))
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 20))]
        elif kind == 3:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        elif kind == 4:
            data[at:at] = rng.choice([b"-", b"9999999999", b"nan", b"\0", b"\xff\xff", b"%s%n", b"1e308", b"\n"])
        else:
            del data[at:]
        if not data:
            return b"\0"
    return bytes(data)
