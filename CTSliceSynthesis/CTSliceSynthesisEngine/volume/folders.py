"""Which scans a folder holds: volume files and DICOM series, in it and in its subfolders."""

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
        suffix = image_file.suffix(self.path)
        own = self.path.name[: -len(suffix)] if suffix in READABLE else self.path.resolve().name
        return own if self.series is None else f"{own}_{self.series}"


def scans_below(folder: Path, without: Path | None = None) -> list[FoundScan]:
    """Every scan in a folder and its subfolders, in the order of their paths.

    What is hidden (its name begins with a dot), closed to this user, or a link to a folder is passed over.

    Args:
        folder: to search.
        without: a folder in it that is passed over.
    """
    left_out = os.path.realpath(without) if without else None
    places = [folder]
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(top, name)) != left_out  # noqa: PTH118
        )
        places += [Path(top) / name for name in (*folders, *names) if not name.startswith(".")]
    return [scan for path in sorted(places) for scan in scans_at(path)]


def scans_at(path: Path) -> Iterator[FoundScan]:
    """The scan of a volume file, or the series that lie directly in a folder; nothing in one without CT images."""
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
        if is_file and image_file.suffix(path) in READABLE:
            yield FoundScan(path)
        if not is_folder or not any(dicom_folder.is_dicom(file) for file in path.iterdir() if file.is_file()):
            return
        found = dicom_folder.look_into(path)
    except (OSError, ValueError, SynthesisError):
        return
    if len(found.stacks) > 1:
        yield from (FoundScan(path, stack.name) for stack in found.stacks)
    elif found.stacks or any(
        stranger.is_dicom for stranger in found.strangers
    ):  # whoever reads it will say what is wrong
        yield FoundScan(path)
