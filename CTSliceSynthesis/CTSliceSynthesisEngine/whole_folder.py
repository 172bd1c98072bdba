"""Folders that appear whole or not at all, as files do by `whole_file`. Every room may use it.

A folder is filled under a hidden name beside its place, and moved there. One that it replaces is set aside for that moment,
under a name that tells what it was called: where the process is killed in between, `remove_forgotten` puts it back.
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
    """A folder to fill; it gets the name `target` when the block ends well, and else is removed with all that is in it.

    Args:
        target: the folder above it exists.
        overwrite: whether an existing folder is replaced, with all that is in it.

    Raises:
        FileExistsError: without `overwrite`, somebody else made the folder meanwhile.
        OSError: it cannot be made or moved.
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
    """Write a new file, and see that it arrived on the disk; OSError where it did not."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != content:
        raise OSError("what was read back is not what was written")


def _put_in_place(part: Path, target: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(target):  # where a folder of that name is empty, rename would replace it
        raise FileExistsError(0, "it is there already", str(target))
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
