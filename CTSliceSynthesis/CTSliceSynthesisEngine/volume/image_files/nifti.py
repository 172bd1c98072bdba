"""Parser for headers of NIfTI-1 files (.nii, .nii.gz), following nifti1.h of the NIfTI Data Format Working Group."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from ...regular_file import Stamp, open_regular
from ..grid import STRAIGHT_DEGREES
from .parsed_image import MOST_VOXELS, ParsedImage
from .stored_voxels import RAW, ZLIB, OddGeometryError, StoredVoxels, UnreadableError, decompressed

HEADER = 348  # bytes
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 1e-3}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AGREE_MM = 0.1  # tolerance at the corners of the volume for sform and qform to agree
AGREE_SHARE = 1e-3  # relative tolerance of spacings


def parse(path: Path) -> ParsedImage:
    """Parse a header.

    If both sform and qform are given, the sform is used, with a warning if they differ.

    Raises:
        UnreadableError: it violates the format or does not give the geometry.
        OSError: it cannot be opened.
    """
    head, packed, stamp = _head(path)
    order = _order(head)
    dim = struct.unpack_from(f"{order}8h", head, 40)
    datatype, bits = struct.unpack_from(f"{order}2h", head, 70)
    pixdim = struct.unpack_from(f"{order}8f", head, 76)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", head, 108)
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise UnreadableError(
            f"gives the sizes {list(dim[1:])} in {dim[0]} dimensions, which must be above 0 in 1 to 7"
        )
    size = tuple(dim[1 : dim[0] + 1])
    while len(size) > 3 and size[-1] == 1:
        size = size[:-1]
    # The fifth dimension is for vectors.
    components, size = (size[4], size[:3]) if len(size) == 5 and size[3] == 1 else (1, size)
    if np.prod(np.array(size, float)) > MOST_VOXELS:
        raise UnreadableError(f"gives the sizes {list(size)}, which are too many voxels")
    size_3d = (*size, 1, 1, 1)[:3]
    if datatype not in TYPES:  # the other common types: colors and complex numbers
        nothing = StoredVoxels(path, stamp, 0, RAW, np.dtype("u1"), (1, 1, 1))
        return ParsedImage(size, 3 if datatype in (128, 2304) else 2, nothing, np.eye(4))
    if bits != 8 * int(TYPES[datatype][1]):
        raise UnreadableError(f"gives {bits} bits for a voxel of type {datatype}")
    if not np.isfinite(offset) or offset != int(offset) or not HEADER <= offset <= 1e9:
        raise UnreadableError(f"gives {offset:g} as vox_offset, which must be at least {HEADER}")
    stored = StoredVoxels(
        path, stamp, 0 if packed else int(offset), ZLIB if packed else RAW, np.dtype(f"{order}{TYPES[datatype]}"),
        (size_3d[0], size_3d[1], size_3d[2]), None, int(offset) if packed else 0,
    )  # fmt: skip
    if len(size) != 3 or components != 1:
        return ParsedImage(size, components, stored, np.eye(4))
    if not np.isfinite([slope, intercept]).all():
        raise UnreadableError(f"gives {slope:g} as scl_slope and {intercept:g} as scl_inter, which must be numbers")
    lps, warnings = _geometry(head, order, pixdim, size)
    text = head[148:228].partition(b"\0")[0].decode("latin-1").strip()
    fields = {"descrip": text} if text else {}
    slope, intercept = (slope, intercept) if slope else (1.0, 0.0)  # a slope of 0 means none
    return ParsedImage(size, 1, stored, lps, slope, intercept, None, fields, tuple(warnings))


def _head(path: Path) -> tuple[bytes, bool, Stamp]:
    """Return the header bytes, whether the file is compressed (some .nii.gz are not), and its stamp."""
    with open_regular(path) as file:
        stamp = Stamp.of(os.fstat(file.fileno()))
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        head = b""
        if packed:
            for piece in decompressed(file):
                head += piece
                if len(head) >= HEADER:
                    break
        else:
            head = file.read(HEADER)
    return head[:HEADER], packed, stamp


def _order(head: bytes) -> str:
    if len(head) < HEADER:
        raise UnreadableError("is shorter than a NIfTI header")
    order = next((order for order in "<>" if struct.unpack_from(f"{order}i", head)[0] == HEADER), None)
    if order is None:
        raise UnreadableError("does not begin as NIfTI-1 files do")
    if head[344:347] != b"n+1":
        raise UnreadableError(f"has {head[344:347]!r} where single-file NIfTI-1 has n+1")
    return order


def _geometry(
    head: bytes, order: str, pixdim: tuple[float, ...], size: tuple[int, ...]
) -> tuple[np.ndarray, list[str]]:
    """Return IJK -> LPS in mm, and warnings about contradictions in the header."""
    scale = UNITS.get(head[123] & 7)
    if scale is None:
        raise OddGeometryError(f"gives the unit {head[123] & 7} for its distances, which must be m, mm or micrometers")
    qform_code, sform_code = struct.unpack_from(f"{order}2h", head, 252)
    sform = np.vstack([np.array(struct.unpack_from(f"{order}12f", head, 280)).reshape(3, 4), [0, 0, 0, 1]])
    warnings: list[str] = []
    if sform_code > 0:
        _check_straight(sform, "sform")
        if (
            qform_code > 0
            and (qform := _qform(head, order, pixdim)) is not None
            and _corner_distance(sform, qform, size) > AGREE_MM
        ):
            distance = _corner_distance(sform, qform, size)
            warnings.append(f"The file's sform and qform lie up to {distance:.3g} mm apart; the sform is used.")
        sform_steps, steps = np.linalg.norm(sform[:3, :3], axis=0), np.array(pixdim[1:4])
        if not np.allclose(sform_steps, steps, rtol=AGREE_SHARE):
            listed = ["({})".format(", ".join(f"{value:.4g}" for value in values)) for values in (sform_steps, steps)]
            warnings.append(
                f"The file's sform gives the spacing {listed[0]} and its pixdim {listed[1]}; the sform is used."
            )
        ras = sform
    else:
        if not all(np.isfinite(step) and step > 0 for step in pixdim[1:4]):
            raise OddGeometryError(
                f"gives {[float(f'{step:g}') for step in pixdim[1:4]]} as pixdim, which must be above 0 mm"
            )
        if qform_code > 0:
            qform = _qform(head, order, pixdim)
            if qform is None:
                raise OddGeometryError("gives a qform that is not a rotation")
            ras = qform
        else:
            ras = np.diag([*pixdim[1:4], 1.0])
            warnings.append(
                "The file does not give its orientation in the patient; its axes are assumed to point right, front and up."
            )
    ras = ras.copy()
    ras[:3] *= scale
    return RAS_TO_LPS @ ras, warnings


def _check_straight(matrix: np.ndarray, what: str) -> None:
    if not np.isfinite(matrix).all() or not np.linalg.norm(matrix[:3, :3], axis=0).all():
        raise OddGeometryError(f"gives an {what} that is invalid: its numbers must be finite, and its steps above 0 mm")
    columns = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    cosine = np.abs(columns.T @ columns - np.eye(3)).max()
    if cosine > np.sin(np.radians(STRAIGHT_DEGREES)):
        degrees = np.degrees(np.arcsin(min(1.0, cosine)))
        raise OddGeometryError(f"gives an {what} with sheared axes ({degrees:.3g} degrees, as of a gantry tilt)")


def _qform(head: bytes, order: str, pixdim: tuple[float, ...]) -> np.ndarray | None:
    """Return the (4, 4) matrix of the quaternion in the header, or None if it is invalid."""
    b, c, d, *shift = struct.unpack_from(f"{order}6f", head, 256)
    square = 1.0 - (b * b + c * c + d * d)
    if not np.isfinite([b, c, d, *shift, *pixdim[1:4]]).all() or square < -1e-3 or min(pixdim[1:4]) <= 0:
        return None
    a = np.sqrt(max(square, 0.0))
    length = np.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = (value / length for value in (a, b, c, d))
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * [pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)]
    matrix[:3, 3] = shift
    return matrix


def _corner_distance(first: np.ndarray, second: np.ndarray, size: tuple[int, ...]) -> float:
    """Return the largest distance between corresponding corners of the volume under two matrices."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij")).reshape(3, -1)
    ends = np.vstack([corners, np.ones(corners.shape[1])])
    return float(np.linalg.norm(((first - second) @ ends)[:3], axis=0).max())
