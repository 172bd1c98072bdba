"""How a child process of the engine is started. Every room may use it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_FIRST = "import sys; sys.path[:] = [folder for folder in sys.path if folder not in ('', '.')]; "


def command(module: str, function: str, *arguments: str) -> list[str]:
    """The command line that calls a function of the engine in a Python of its own.

    `python -m` would look for modules in the current folder first, so that a json.py beside somebody's scans would run.

    Args:
        module: relative to the engine, as "volume.dicom.compressed".
        function: takes no arguments and returns the exit status.
        arguments: the child's sys.argv[1:].
    """
    package = __name__.rpartition(".")[0]
    code = f"{_FIRST}from {package}.{module} import {function}; sys.exit({function}())"
    return [sys.executable, "-c", code, *arguments]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, in which a child finds the engine where this process did, installed or not."""
    engine = str(Path(__file__).resolve().parents[1])
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([engine, *folders]), **more}
