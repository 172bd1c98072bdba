"""The folder of a DICOM result: its layout, and whether it may be written."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...errors import SynthesisError
from .dicom_file import DamagedError, DicomFile, NotDicomError
from .dicom_origin import origin

EXPECTED_ERROR, DISAGREEMENT = SUBFOLDERS = ("expected_error", "disagreement")
"""Subfolders of a result for the additional series."""
_OURS = re.compile(r"IM_\d{5,}\.dcm", re.ASCII)


def check_folder(folder: Path, *, overwrite: bool, source: Path) -> None:
    """Check before a run starts that a DICOM result can be written.

    Args:
        folder: of the result, to be created.
        overwrite: whether an existing folder may be replaced, if it is empty or contains only an earlier result.
        source: file or folder of the input, which is never replaced.

    Raises:
        SynthesisError: "cannot-write".
    """
    target = Path(os.path.realpath(folder))
    try:
        str(target).encode()
        exists = os.path.lexists(target)
    except (UnicodeEncodeError, ValueError):
        message = f"Names of folders must be valid UTF-8, but {folder} is not"
        raise SynthesisError("cannot-write", f"{message}; rename it.") from None
    if not target.parent.is_dir():
        raise SynthesisError("cannot-write", f"The folder {target.parent} does not exist; create it first.")
    if exists and source.exists() and target.samefile(source):
        raise SynthesisError("cannot-write", f"The result must not replace the input {source}; give another name.")
    if exists and not target.is_dir():
        message = f"A DICOM result is a folder, but {target} is a file"
        raise SynthesisError("cannot-write", f"{message}; give another name.")
    if exists and not overwrite:
        message = f"The folder {target} exists; give another name, or allow overwriting"
        raise SynthesisError("cannot-write", f"{message}.")
    if exists and not _is_replaceable(target):
        message = f"Only a DICOM result of CTSliceSynthesis is overwritten, but {target} contains other files"
        raise SynthesisError("cannot-write", f"{message}; give another name.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        message = f"The folder {target.parent} cannot be written to"
        raise SynthesisError("cannot-write", f"{message}; choose another, or change its permissions.")


def _is_replaceable(folder: Path) -> bool:
    """Return whether the folder is empty or contains only an earlier result."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    series = [name for name in names if str(name) not in SUBFOLDERS]
    return all(_is_ours(folder / name) for name in series)


def _is_ours(path: Path) -> bool:
    if not (_OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink()):
        return False
    try:
        return bool(origin(DicomFile(path)))
    except (NotDicomError, DamagedError, OSError):
        return False
