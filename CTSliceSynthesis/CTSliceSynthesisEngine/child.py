"""Command line and environment of the engine's child processes. Usable from every subpackage."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CLEAN_PATH = "import sys; sys.path[:] = [folder for folder in sys.path if folder not in ('', '.')]; "


def command(module: str, function: str, *arguments: str) -> list[str]:
    """Return the command line that calls a function of the engine in a separate Python process.

    `python -m` would search the current folder for modules first, and execute a json.py stored next to the scans.

    Args:
        module: relative to the engine, e.g. "volume.dicom.compressed".
        function: name of a function that takes no arguments and returns the exit status.
        arguments: sys.argv[1:] of the child.
    """
    package = __name__.rpartition(".")[0]
    code = f"{_CLEAN_PATH}from {package}.{module} import {function}; sys.exit({function}())"
    return [sys.executable, "-c", code, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment, extended so that a child imports the same engine, installed or not."""
    engine = str(Path(__file__).resolve().parents[1])
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([engine, *folders]), **more}
