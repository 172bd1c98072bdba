"""Format-independent header of an image file, and strict parsing of its values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...regular_file import Stamp, open_regular
from .stored_voxels import StoredVoxels, UnreadableError

MOST_HEADER = 1 << 20  # bytes
MOST_VOXELS = 1 << 36
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class ParsedImage:
    """A header.

    Attributes:
        sizes: voxels along each axis, the fastest first; `components` numbers per voxel.
        stored: location of the voxels of the first three axes.
        lps: (4, 4) homogeneous IJK -> LPS in mm.
        slope, intercept: HU = slope x stored + intercept.
        thickness: mm, None if unknown.
        fields: free text fields.
        warnings: messages for the user.
    """

    sizes: tuple[int, ...]
    components: int
    stored: StoredVoxels
    lps: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    thickness: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def number(text: str) -> float | None:
    """Parse a finite number; None for anything else, e.g. "1,5", "nan", "1_0"."""
    value = float(text) if _NUMBER.fullmatch(text.strip()) else None
    return value if value is not None and np.isfinite(value) else None


def numbers(text: str, count: int | None, what: str) -> list[float]:
    """Parse numbers separated by white space.

    Raises:
        UnreadableError: the text is anything else; `what` names the field.
    """
    values = [number(word) for word in text.split()]
    if None in values or (count is not None and len(values) != count) or not values:
        needed = "numbers" if count is None else f"{count} numbers" if count > 1 else "one number"
        raise UnreadableError(f"gives {text.strip()!r} as {what}, which must be {needed}")
    return [value for value in values if value is not None]


def sizes(text: str, count: int, what: str) -> tuple[int, ...]:
    """Parse the number of voxels along each axis.

    Raises:
        UnreadableError: they are not integers above 0, or too many voxels.
    """
    values = numbers(text, count, what)
    total = 1.0
    for value in values:
        total *= max(value, 0)
    if not 0 < total <= MOST_VOXELS or any(value != int(value) for value in values):
        raise UnreadableError(
            f"gives {text.strip()!r} as {what}, which must be whole numbers above 0, with a product below 7e10"
        )
    return tuple(int(value) for value in values)


def header_lines(path: Path) -> tuple[list[str], int, Stamp]:
    """Return the first lines of a file (up to MOST_HEADER bytes) as text, their number of bytes, and the file's stamp.

    Raises:
        OSError: it cannot be opened.
    """
    with open_regular(path) as file:
        stamp = Stamp.of(os.fstat(file.fileno()))
        head = file.read(MOST_HEADER)
    return head.decode("utf-8", "surrogateescape").split("\n"), len(head), stamp


def length(lines: list[str]) -> int:
    """Return the number of bytes of these lines of `header_lines`, including line ends."""
    return sum(len(line.encode("utf-8", "surrogateescape")) + 1 for line in lines)


def data_file(header: Path, name: str) -> tuple[Path, Stamp]:
    """Return the data file that a header names: a regular file in the header's folder or below.

    Raises:
        UnreadableError: it is missing, elsewhere, or not a regular file.
    """
    if "\0" in name or not name:
        raise UnreadableError(f"names {name!r} as its data file")
    folder = os.path.realpath(header.parent)
    path = Path(os.path.realpath(os.path.join(folder, name)))  # noqa: PTH118 (an absolute name is checked below)
    if os.path.commonpath([folder, path]) != folder:
        raise UnreadableError(f"names {name!r} as its data file, which must be in the same folder")
    try:
        with open_regular(path) as file:
            return path, Stamp.of(os.fstat(file.fileno()))
    except OSError as error:
        raise UnreadableError(
            f"names {name!r} as its data file, which is missing or cannot be read ({error.strerror})"
        ) from None
