"""Folders for results."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import SynthesisError


def made(folder: str | os.PathLike[str]) -> Path:
    """The folder, made with its parents if it is missing.

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
