"""What the header of an image file says, whichever format it is in; and how its words are read, to the letter."""

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
        sizes: voxels along each axis, the fastest first; `components` numbers for each voxel.
        stored: where the voxels are; of the first three axes.
        lps: (4, 4) homogeneous IJK -> LPS in mm.
        slope, intercept: HU = slope x stored + intercept.
        thickness: mm, None if unknown.
        fields: free text fields.
        warnings: sentences.
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
    """A finite number as files write it; None for anything else, as "1,5", "nan", "1_0"."""
    found = float(text) if _NUMBER.fullmatch(text.strip()) else None
    return found if found is not None and np.isfinite(found) else None


def numbers(text: str, count: int | None, what: str) -> list[float]:
    """Numbers parted by white space.

    Raises:
        UnreadableError: it is something else; `what` names it.
    """
    found = [number(word) for word in text.split()]
    if None in found or (count is not None and len(found) != count) or not found:
        needed = "numbers" if count is None else f"{count} numbers" if count > 1 else "one number"
        raise UnreadableError(f"gives {text.strip()!r} as {what}, which must be {needed}")
    return [value for value in found if value is not None]


def sizes(text: str, count: int, what: str) -> tuple[int, ...]:
    """Voxels along each axis.

    Raises:
        UnreadableError: they are no whole numbers above 0, or too many voxels.
    """
    found = numbers(text, count, what)
    total = 1.0
    for value in found:
        total *= max(value, 0)
    if not 0 < total <= MOST_VOXELS or any(value != int(value) for value in found):
        raise UnreadableError(
            f"gives {text.strip()!r} as {what}, which must be whole numbers above 0, and below 7e10 voxels"
        )
    return tuple(int(value) for value in found)


def header_lines(path: Path) -> tuple[list[str], int, Stamp]:
    """The first lines of a file (up to MOST_HEADER bytes), as far as they are text; bytes of all of them; its stamp.

    Raises:
        OSError: it cannot be opened.
    """
    with open_regular(path) as file:
        stamp = Stamp.of(os.fstat(file.fileno()))
        head = file.read(MOST_HEADER)
    return head.decode("utf-8", "surrogateescape").split("\n"), len(head), stamp


def length(lines: list[str]) -> int:
    """Bytes that these lines of `header_lines` take, with their ends."""
    return sum(len(line.encode("utf-8", "surrogateescape")) + 1 for line in lines)


def data_file(header: Path, name: str) -> tuple[Path, Stamp]:
    """The file that a header names: a regular one in the header's own folder, or below it.

    Raises:
        UnreadableError: it is missing, elsewhere, or something else.
    """
    if "\0" in name or not name:
        raise UnreadableError(f"names {name!r} as its data file")
    folder = os.path.realpath(header.parent)
    path = Path(os.path.realpath(os.path.join(folder, name)))  # noqa: PTH118 (an absolute name is checked below)
    if os.path.commonpath([folder, path]) != folder:
        raise UnreadableError(f"names {name!r} as its data file, which must lie in its own folder")
    try:
        with open_regular(path) as file:
            return path, Stamp.of(os.fstat(file.fileno()))
    except OSError as error:
        raise UnreadableError(
            f"names {name!r} as its data file, which is missing or cannot be read ({error.strerror})"
        ) from None
