"""Files that appear whole or not at all. Every room may use it, as it may use `errors`."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from .errors import SynthesisError


def write_whole(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file beside its place and move it there: readers see the old file or the new one, never a part.

    Raises:
        SynthesisError: "cannot-write" if the folder is missing or refuses the file; nothing is left behind.
    """
    target = Path(path)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        message = f"The file {target} could not be written whole: {error.strerror}"
        raise SynthesisError("cannot-write", f"{message}; choose another place or free some space.") from error
    finally:
        part.unlink(missing_ok=True)
