"""Parser for headers of MetaImage files (.mha, .mhd), following ITK's documentation of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .parsed_image import ParsedImage, data_file, header_lines, length, numbers, sizes
from .stored_voxels import RAW, TEXT, ZLIB, OddGeometryError, StoredVoxels, UnreadableError

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
OWN = {
    "ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData",
    "CompressedDataSize", "TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin", "CenterOfRotation",
    "AnatomicalOrientation", "ElementSpacing", "ElementSize", "DimSize", "ElementType", "ElementNumberOfChannels",
    "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset", "ElementMin", "ElementMax", "HeaderSize",
    "ElementDataFile", "Modality", "Name", "ID", "ParentID", "Color", "Comment", "ObjectSubType", "SequenceID",
}  # fmt: skip
"""Fields defined by the format; others are free text."""
STRAIGHT = 1e-3  # tolerance for the length of direction vectors


def parse(path: Path) -> ParsedImage:
    """Parse a header.

    Raises:
        UnreadableError: it violates the format or does not give the geometry.
        OSError: it cannot be opened.
    """
    lines, _, stamp = header_lines(path)
    fields = _fields(lines)
    if fields.get("ObjectType", "Image").lower() != "image":
        raise UnreadableError(f"holds a {fields['ObjectType']}, not an image")
    dimension = numbers(fields.get("NDims", ""), 1, "NDims")[0]
    if dimension != int(dimension) or not 1 <= dimension <= 10:
        raise UnreadableError(f"gives {dimension:g} as NDims, which must be a whole number from 1 to 10")
    size = sizes(fields.get("DimSize", ""), int(dimension), "DimSize")
    channels = sizes(fields.get("ElementNumberOfChannels", "1"), 1, "ElementNumberOfChannels")[0]
    size_3d = (*size, 1, 1, 1)[:3]
    name = fields["ElementDataFile"]
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise UnreadableError("keeps its voxels in several files; save it as one")
    if name.upper() == "LOCAL":
        index = next(n for n, line in enumerate(lines) if line.partition("=")[0].strip() == "ElementDataFile")
        data, data_stamp, start = path, stamp, length(lines[: index + 1])
    else:
        (data, data_stamp), start = data_file(path, name), 0
    stored = StoredVoxels(
        data, data_stamp, *_layout(fields, start), (size_3d[0], size_3d[1], size_3d[2]), _packed(fields)
    )
    if len(size) != 3 or channels != 1:
        return ParsedImage(size, channels, stored, np.eye(4))
    lps, warnings = _geometry(fields)
    slope, intercept = (
        numbers(fields.get(f"ElementToIntensityFunction{name}", default), 1, f"ElementToIntensityFunction{name}")[0]
        for name, default in (("Slope", "1"), ("Offset", "0"))
    )
    if not slope:
        raise UnreadableError("gives 0 as ElementToIntensityFunctionSlope, so that all its voxels are equal")
    free = {key: value for key, value in fields.items() if key not in OWN}
    return ParsedImage(size, 1, stored, lps, slope, intercept, None, free, tuple(warnings))


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.rstrip("\r").partition("=")
        if not equals or "\0" in line:
            raise UnreadableError(f"has the line {line[:60]!r} in its header, which is not a field")
        if key.strip() in fields:
            raise UnreadableError(f"gives {key.strip()!r} twice in its header")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields
    raise UnreadableError("has a header that does not end")


def _is_true(fields: dict[str, str], *names: str) -> bool:
    value = next((fields[name] for name in names if name in fields), "False")
    if value.lower() not in ("true", "false", "1", "0"):
        raise UnreadableError(f"gives {value!r} as {names[0]}, which must be True or False")
    return value.lower() in ("true", "1")


def _layout(fields: dict[str, str], start: int) -> tuple[int | None, str, np.dtype]:
    """Return the start of the voxels, their encoding and their type."""
    code = TYPES.get(fields.get("ElementType", "").removesuffix("_ARRAY"))
    if code is None:
        raise UnreadableError(
            f"gives {fields.get('ElementType', '')!r} as ElementType, which is not a real number type"
        )
    skipped = numbers(fields.get("HeaderSize", "0"), 1, "HeaderSize")[0]
    if skipped != int(skipped) or not -1 <= skipped <= 1e9:
        raise UnreadableError(f"gives {skipped:g} as HeaderSize")
    binary = "BinaryData" not in fields or _is_true(fields, "BinaryData")
    encoding = (ZLIB if _is_true(fields, "CompressedData") else RAW) if binary else TEXT
    order = ">" if _is_true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    begin = None if skipped == -1 and encoding == RAW else start + max(0, int(skipped))
    return begin, encoding, np.dtype(f"{order}{code}")


def _packed(fields: dict[str, str]) -> int | None:
    """Return the expected number of compressed bytes, if given."""
    if not _is_true(fields, "CompressedData") or "CompressedDataSize" not in fields:
        return None
    return int(numbers(fields["CompressedDataSize"], 1, "CompressedDataSize")[0])


def _geometry(fields: dict[str, str]) -> tuple[np.ndarray, list[str]]:
    def given(names: tuple[str, ...], count: int) -> list[float] | None:
        name = next((name for name in names if name in fields), None)
        try:
            return None if name is None else numbers(fields[name], count, name)
        except UnreadableError as error:
            raise OddGeometryError(str(error)) from None

    spacing = given(("ElementSpacing", "ElementSize"), 3)
    if spacing is None or min(spacing) <= 0:
        value = "no ElementSpacing" if spacing is None else f"the ElementSpacing {spacing}"
        raise OddGeometryError(f"gives {value}, which must be three numbers above 0")
    matrix, origin = (
        given(("TransformMatrix", "Rotation", "Orientation"), 9),
        given(("Offset", "Position", "Origin"), 3),
    )
    directions = np.eye(3) if matrix is None else np.array(matrix).reshape(3, 3).T
    if np.abs(np.linalg.norm(directions, axis=0) - 1).max() > STRAIGHT:
        raise OddGeometryError(f"gives the TransformMatrix {matrix}, whose directions must have the length 1")
    lps = np.eye(4)
    lps[:3, :3] = directions * spacing
    lps[:3, 3] = origin or 0
    missing = [word for word, value in (("orientation", matrix), ("origin", origin)) if value is None]
    return lps, [f"The file gives no {' and no '.join(missing)}; the default is assumed."] if missing else []
