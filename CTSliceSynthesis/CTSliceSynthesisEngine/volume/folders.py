"""Find the scans in a folder and its subfolders: volume files and DICOM series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SynthesisError
from .dicom import dicom_folder
from .files import READABLE
from .image_files import image_file


@dataclass(frozen=True)
class FoundScan:
    """A scan that was found but not opened.

    Attributes:
        path: a volume file, or the folder of a DICOM series.
        series: which series, if its folder contains several.
    """

    path: Path
    series: str | None = None

    @property
    def name(self) -> str:
        """The file name without suffix, or the folder name, followed by the series if there are several."""
        suffix = image_file.suffix(self.path)
        stem = self.path.name[: -len(suffix)] if suffix in READABLE else self.path.resolve().name
        return stem if self.series is None else f"{stem}_{self.series}"


def scans_below(folder: Path, without: Path | None = None) -> list[FoundScan]:
    """Return all scans in a folder and its subfolders, ordered by path.

    Hidden entries (leading dot), unreadable entries and links to folders are skipped.

    Args:
        folder: to search.
        without: a subfolder to skip.
    """
    skipped = os.path.realpath(without) if without else None
    paths = [folder]
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(top, name)) != skipped  # noqa: PTH118
        )
        paths += [Path(top) / name for name in (*folders, *names) if not name.startswith(".")]
    return [scan for path in sorted(paths) for scan in scans_at(path)]


def scans_at(path: Path) -> Iterator[FoundScan]:
    """Yield the scan of a volume file, or the series directly in a folder; nothing for folders without CT images."""
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
        if is_file and image_file.suffix(path) in READABLE:
            yield FoundScan(path)
        if not is_folder or not any(dicom_folder.is_dicom(file) for file in path.iterdir() if file.is_file()):
            return
        content = dicom_folder.inspect_folder(path)
    except (OSError, ValueError, SynthesisError):
        return
    if len(content.stacks) > 1:
        yield from (FoundScan(path, stack.name) for stack in content.stacks)
    elif content.stacks or any(file.is_dicom for file in content.unreadable):  # reading it reports what is wrong
        yield FoundScan(path)
