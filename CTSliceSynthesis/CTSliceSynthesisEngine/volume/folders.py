"""Which scans a folder holds: volume files and DICOM series, in it and in its subfolders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SynthesisError
from . import dicom, images
from .files import READABLE


@dataclass(frozen=True)
class FoundScan:
    """One scan that has been found, not opened.

    Attributes:
        path: a volume file, or the folder of a DICOM series.
        series: which series, where its folder holds several.
    """

    path: Path
    series: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its suffix, or the folder's; with the series, where there are several."""
        suffix = images.suffix(self.path)
        own = self.path.name[: -len(suffix)] if suffix in READABLE else self.path.resolve().name
        return own if self.series is None else f"{own}_{self.series}"


def scans_below(folder: Path, without: Path | None = None) -> list[FoundScan]:
    """Every scan in a folder and its subfolders, in the order of their paths.

    Args:
        folder: to search.
        without: a folder in it that is passed over.
    """
    hidden = without.resolve() if without else None
    places = sorted([folder, *(path for path in folder.rglob("*") if hidden not in path.resolve().parents)])
    return [scan for path in places for scan in scans_at(path)]


def scans_at(path: Path) -> Iterator[FoundScan]:
    """The scan of a volume file, or the series that lie directly in a folder."""
    if path.is_file() and images.suffix(path) in READABLE:
        yield FoundScan(path)
    if not path.is_dir() or not any(dicom.is_dicom(file) for file in path.iterdir() if file.is_file()):
        return
    try:
        series = [stack.name for stack in dicom.stacks_in(path)]
    except SynthesisError:
        series = []  # whoever reads it will say what is wrong
    for uid in series if len(series) > 1 else [None]:
        yield FoundScan(path, uid)
