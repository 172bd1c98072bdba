"""Atomic creation of folders, the counterpart of `whole_file`. Usable from every subpackage.

A folder is filled under a hidden name next to its target, then renamed. A folder that it replaces is briefly moved aside
under a name that contains the original one: if the process is killed in between, `remove_forgotten` restores it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .whole_file import aside, part_beside, remove_forgotten


@contextmanager
def whole_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to fill. It is renamed to `target` if the block succeeds, and removed with its content otherwise.

    Args:
        target: its parent folder must exist.
        overwrite: whether an existing folder is replaced, with its whole content.

    Raises:
        FileExistsError: without `overwrite`, the folder was created by another process in the meantime.
        OSError: it cannot be created or moved.
    """
    remove_forgotten(target.parent)
    part = part_beside(target)
    try:
        part.mkdir()
        yield part
        _put_in_place(part, target, overwrite)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_durable(content: bytes, path: Path) -> None:
    """Write a new file and verify that it reached the disk; raise OSError if not."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != content:
        raise OSError("the data read back differs from the data written")


def _put_in_place(part: Path, target: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(target):  # rename would replace an empty folder
        raise FileExistsError(0, "it exists already", str(target))
    if not os.path.lexists(target):
        part.rename(target)
        return
    old = aside(target)
    target.rename(old)
    try:
        part.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
