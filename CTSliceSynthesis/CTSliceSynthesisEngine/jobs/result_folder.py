"""Output folders."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import SynthesisError


def create(folder: str | os.PathLike[str]) -> Path:
    """Create a folder with its parents if it is missing, and return its path.

    Raises:
        SynthesisError: "cannot-write".
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"The folder {path} cannot be made ({error.strerror})"
        raise SynthesisError("cannot-write", f"{message}: choose another for the results.") from error
    return path
