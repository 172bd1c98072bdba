"""The first code of the child process; plain Python, so that it starts at once.

    python ChildProcess.py FOLDER COMMAND [ARGUMENTS ...]

It runs a command of the engine. Its standard input is a pipe that Slicer holds open. A byte in it asks to stop and keep what
can be gone on from. When the pipe closes, Slicer has gone, whatever became of it, and so the private folder and this process
group go too.
"""

from __future__ import annotations

import _thread
import faulthandler
import os
import runpy
import shutil
import signal
import sys
import threading
from pathlib import Path


def endWithParent(folder: str) -> None:
    """Listen to the parent until it is gone, then leave nothing behind."""
    while os.read(0, 1):
        _thread.interrupt_main(signal.SIGTERM)  # the engine's own way to stop
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # this process leads a group of its own
    os._exit(1)


def main() -> None:
    folder, *arguments = sys.argv[1:]
    faulthandler.enable()  # a crash leaves words in the log; a kill leaves none
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the engine's folder instead of this file's
    if hasattr(os, "nice"):
        os.nice(5)  # Slicer's window comes first
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the engine has its own
    threading.Thread(target=endWithParent, args=(folder,), daemon=True).start()
    sys.argv = ["ctslices", *arguments]
    runpy.run_module("CTSliceSynthesisEngine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
