"""The first code of the child process; plain Python, so that it starts at once.

    python ChildProcess.py FOLDER REQUEST.json

It runs the engine's command `run`. Its standard input is a pipe that Slicer holds open and never writes to: when the pipe
closes, Slicer has gone, whatever became of it, and so the private folder and this process group go too.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import threading
from pathlib import Path


def endWithParent(folder: str) -> None:
    """Wait until the parent is gone, then leave nothing behind."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # this process leads a group of its own
    os._exit(1)


def main() -> None:
    folder, request = sys.argv[1:]
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the engine's folder instead of this file's
    if hasattr(os, "nice"):
        os.nice(5)  # Slicer's window comes first
    threading.Thread(target=endWithParent, args=(folder,), daemon=True).start()
    sys.argv = ["ctslices", "run", request]
    runpy.run_module("CTSliceSynthesisEngine.jobs.commands", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
