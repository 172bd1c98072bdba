"""Open regular files only: no pipe that blocks forever, no device, no folder. Usable from every subpackage."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Stamp(NamedTuple):
    """Identity of a file when it was opened; a different file under the same name has a different stamp."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp for a stat result."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, without blocking on a pipe that has no writer.

    Raises:
        OSError: it cannot be opened or is not a regular file; `strerror` says which.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # the name contains a NUL
        raise OSError(0, f"the file name is invalid, {error}", str(path)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], at_most: int) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        at_most: bytes; a larger file is rejected before it is read.

    Raises:
        OSError: see `open_regular`; also if the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            raise OSError(0, f"it has {size} bytes, more than {at_most}", str(path))
        return file.read(at_most)


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """Return the stamp of the file that a path currently points to, or None if there is none."""
    try:
        return Stamp.of(Path(path).stat())
    except (OSError, ValueError):
        return None
