"""Parser for headers of NRRD files (.nrrd, .nhdr), following teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .parsed_image import ParsedImage, data_file, header_lines, length, number, numbers, sizes
from .stored_voxels import BZIP2, HEX, RAW, TEXT, ZLIB, OddGeometryError, StoredVoxels, UnreadableError

TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
ENCODINGS = {
    RAW: ("raw",), ZLIB: ("gzip", "gz"), BZIP2: ("bzip2", "bz2"), TEXT: ("text", "txt", "ascii"), HEX: ("hex",),
}  # fmt: skip
TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
}  # fmt: skip
UNITS = {
    "mm": 1.0,
    "millimeter": 1.0,
    "millimeters": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "um": 1e-3,
    "µm": 1e-3,
    "micron": 1e-3,
}
_VECTOR = re.compile(r"\(([^()]*)\)|(none)")
SCALAR_KINDS = ("domain", "space", "???", "none", "")


def parse(path: Path) -> ParsedImage:
    """Parse a header.

    Raises:
        UnreadableError: it violates the format or does not give the geometry.
        OSError: it cannot be opened.
    """
    lines, _, stamp = header_lines(path)
    if not re.fullmatch(r"NRRD000[1-5]\r?", lines[0]):
        raise UnreadableError("does not begin as NRRD files do")
    end = next((n for n, line in enumerate(lines) if not line.strip()), len(lines))
    known, free = _fields(lines[1:end])
    dimension = int(numbers(known.get("dimension", ""), 1, "dimension")[0])
    if not 1 <= dimension <= 16:
        raise UnreadableError(f"gives the dimension {dimension}, which must be from 1 to 16")
    all_sizes = sizes(known.get("sizes", ""), dimension, "sizes")
    list_axes = _list_axes(known, dimension)
    spatial = [axis for axis in range(dimension) if axis not in list_axes]
    components = int(np.prod([all_sizes[axis] for axis in list_axes]))
    size = tuple(all_sizes[axis] for axis in spatial)
    size_3d = (*size, 1, 1, 1)[:3]
    if "data file" in known or "datafile" in known:
        name = known.get("data file", known.get("datafile", ""))
        if name.split()[:1] == ["LIST"] or "%" in name:
            raise UnreadableError("keeps its voxels in several files; save it as one")
        data, data_stamp = data_file(path, name)
        start = 0
    elif end == len(lines):
        raise UnreadableError("has a header that does not end")
    else:
        data, data_stamp, start = path, stamp, length(lines[: end + 1])
    stored = StoredVoxels(data, data_stamp, *_layout(known, start, data), (size_3d[0], size_3d[1], size_3d[2]))
    if len(size) != 3 or components != 1:
        return ParsedImage(size, components, stored, np.eye(4))
    lps, scale, warnings = _geometry(known)
    return ParsedImage(size, 1, stored, lps, 1.0, 0.0, _thickness(known, scale, lps), free, tuple(warnings))


def _fields(lines: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields defined by the format, and the free text fields."""
    known: dict[str, str] = {}
    free: dict[str, str] = {}
    for line in (line.rstrip("\r") for line in lines):
        if line.startswith("#"):
            continue
        if "\0" in line:
            raise UnreadableError("has a header with zeros in it")
        if match := re.match(r"([^:]+):=(.*)", line):
            free[match[1]] = match[2].replace("\\n", "\n")
        elif match := re.match(r"([^:]+): ?(.*)", line):
            if match[1].strip().lower() in known:
                raise UnreadableError(f"gives {match[1].strip()!r} twice in its header")
            known[match[1].strip().lower()] = match[2].strip()
        else:
            raise UnreadableError(f"has the line {line[:60]!r} in its header, which is not a field")
    return known, free


def _list_axes(known: dict[str, str], dimension: int) -> list[int]:
    """Return the axes along which the components of a voxel are stored."""
    kinds = known.get("kinds", "").lower().split()
    if len(kinds) == dimension:
        return [axis for axis, kind in enumerate(kinds) if kind not in (*SCALAR_KINDS, "list", "time")]
    return []


def _layout(known: dict[str, str], start: int, data: Path) -> tuple[int | None, str, np.dtype]:
    """Return the start of the voxels, their encoding and their type."""
    code = next((code for code, names in TYPES.items() if known.get("type", "").lower() in names), None)
    if code is None:
        raise UnreadableError(f"gives {known.get('type', '')!r} as type, which is not a real number type")
    encoding = next(
        (thickness for thickness, names in ENCODINGS.items() if known.get("encoding", "").lower() in names), None
    )
    if encoding is None:
        raise UnreadableError(
            f"gives {known.get('encoding', '')!r} as encoding, which is none of {', '.join(ENCODINGS)}"
        )
    endian = known.get("endian", "").lower()
    needs_order = encoding not in (TEXT,) and code[1] != "1"
    if endian not in (("little", "big") if needs_order else ("little", "big", "")):
        raise UnreadableError(f"gives {endian!r} as endian, which must be little or big")
    skipped = {}
    for name in ("line skip", "byte skip"):
        value = numbers(known.get(name, known.get(name.replace(" ", ""), "0")), 1, name)[0]
        if value != int(value) or value < (-1 if name == "byte skip" else 0) or abs(value) > 1e9:
            raise UnreadableError(f"gives {value:g} as {name}")
        skipped[name] = int(value)
    if encoding != RAW and skipped["byte skip"]:
        raise UnreadableError("skips bytes of compressed voxels, which is not supported")
    begin: int | None = start + _lines_skipped(data, start, skipped["line skip"]) + max(0, skipped["byte skip"])
    order = ">" if endian == "big" else "<"
    return (None if skipped["byte skip"] == -1 else begin), encoding, np.dtype(f"{order}{code}")


def _lines_skipped(data: Path, start: int, count: int) -> int:
    """Return the number of bytes in the first `count` lines of the data."""
    if not count:
        return 0
    with data.open("rb") as file:
        file.seek(start)
        return sum(len(file.readline(1 << 16)) for _ in range(min(count, 1000)))


def _geometry(known: dict[str, str]) -> tuple[np.ndarray, float, list[str]]:
    """Return IJK -> LPS in mm, the length unit of the file in mm, and warnings about missing information."""
    warnings: list[str] = []
    lps, scale = np.eye(4), _scale(known)
    space = known.get("space", "").lower()
    if "space directions" in known:
        lps[:3, :3] = np.array([_vector(text, "space directions") for text in _vectors(known["space directions"])]).T
        if space not in TO_LPS:
            warnings.append("The file does not name a patient space; its axes are assumed to point left, back and up.")
    elif "spacings" in known:
        lps[:3, :3] = np.diag(_spacings(known["spacings"]))
        warnings.append(
            "The file does not give its orientation in the patient; its axes are assumed to point left, back and up."
        )
    else:
        raise OddGeometryError("gives neither space directions nor spacings, so that distances in it are unknown")
    if "space origin" in known:
        lps[:3, 3] = _vector((_vectors(known["space origin"]) or [""])[0], "space origin")
    elif "space directions" in known:
        warnings.append("The file gives no origin; its first voxel is assumed to be at 0, 0, 0.")
    lps[:3] *= scale
    return np.diag([*TO_LPS.get(space, (1, 1, 1)), 1]) @ lps, scale, warnings


def _scale(known: dict[str, str]) -> float:
    text = known.get("space units", known.get("units", ""))
    values = {unit.strip() for unit in re.findall(r'"([^"]*)"', text)} - {""}
    if not values:
        return 1.0
    scales = {UNITS.get(unit.lower()) for unit in values}
    if len(scales) > 1 or None in scales:
        raise OddGeometryError(f"gives {text!r} as units, which must be one of {', '.join(UNITS)} for all axes")
    return next(scale for scale in scales if scale is not None)


def _vectors(text: str) -> list[str]:
    return [match[1] if match[2] is None else "none" for match in _VECTOR.finditer(text)]


def _vector(text: str, what: str) -> list[float]:
    values = [number(part) for part in text.split(",")]
    if len(values) != 3 or None in values:
        raise OddGeometryError(f"gives {text!r} in its {what}, which must be three numbers")
    return [value for value in values if value is not None]


def _spacings(text: str) -> list[float]:
    values = [number(word) for word in text.split()]
    if len(values) != 3 or not all(value is not None and value > 0 for value in values):
        raise OddGeometryError(f"gives {text!r} as spacings, which must be three numbers above 0")
    return [value for value in values if value is not None]


def _thickness(known: dict[str, str], scale: float, lps: np.ndarray) -> float | None:
    """Return the thickness of the axis with the largest spacing, or the only one given."""
    values = [number(word) for word in known.get("thicknesses", "").split()]
    if len(values) != 3:
        return None
    given = [axis for axis in range(3) if values[axis] is not None]
    axis = int(np.argmax(np.linalg.norm(lps[:3, :3], axis=0))) if len(given) > 1 else (given or [0])[0]
    thickness = values[axis]
    return thickness * scale if thickness is not None and thickness > 0 else None
