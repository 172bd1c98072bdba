"""Robust standard output and error: they may be closed, full, or have lost their reader."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast


class Forgiving(io.TextIOBase):
    """A stream that ignores write errors, for progress and remarks, whose loss must not fail a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, ignoring errors."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, ignoring errors."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the wrapped stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the wrapped stream."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the wrapped stream, which progress bars query."""
        return getattr(self._stream, "encoding", None) or "ascii"


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Make both streams writable inside the context: a closed one is replaced by the null device."""
    before = sys.stdout, sys.stderr
    sys.stdout = _open(sys.stdout)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a character of a path that the console cannot show is not an error
    sys.stderr = cast(TextIO, Forgiving(_open(sys.stderr)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = (old or new for old, new in zip(before, (sys.stdout, sys.stderr), strict=True))


def _open(stream: TextIO | None) -> TextIO:
    return stream if stream is not None else Path(os.devnull).open("w", encoding="utf-8")


def discard(stream: TextIO) -> None:
    """Redirect a failed stream to the null device, so that Python does not report an error when it flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
