"""Files opened for reading that are files: no pipe that waits for ever, no device, no folder. Every room may use it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Stamp(NamedTuple):
    """What a file was when it was opened; another one under the same name has another stamp."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp in a file's status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, without waiting for whoever may never write to a pipe.

    Raises:
        OSError: it cannot be opened, or is no regular file; `strerror` says which.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a name with a NUL
        raise OSError(0, f"no file can have this name, {error}", str(path)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], at_most: int) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        at_most: bytes; a larger file is refused before it is read.

    Raises:
        OSError: see `open_regular`; or it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            raise OSError(0, f"it has {size} bytes, more than {at_most}", str(path))
        return file.read(at_most)


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp of what a path names now; None where there is nothing."""
    try:
        return Stamp.of(Path(path).stat())
    except (OSError, ValueError):
        return None
