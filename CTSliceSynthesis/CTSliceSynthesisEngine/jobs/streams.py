"""Standard output and error as they may be: closed, full, or read by somebody who has gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast


class Forgiving(io.TextIOBase):
    """A stream whose failure to write is no failure of the run: what is said while it goes, not what was asked for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """As the stream."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """As the stream."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the stream's: progress bars ask which letters it has."""
        return getattr(self._stream, "encoding", None) or "ascii"


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Streams that can be written to, as long as the context lasts: a closed one leads nowhere."""
    before = sys.stdout, sys.stderr
    sys.stdout = _open(sys.stdout)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console that lacks a letter of a path is no failure
    sys.stderr = cast(TextIO, Forgiving(_open(sys.stderr)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = (old or new for old, new in zip(before, (sys.stdout, sys.stderr), strict=True))


def _open(stream: TextIO | None) -> TextIO:
    return stream if stream is not None else Path(os.devnull).open("w", encoding="utf-8")


def discard(stream: TextIO) -> None:
    """Lead a stream that failed nowhere, so that Python does not try again, and complain, when it ends."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
