"""Bootstrap code of the child process; standard library only, so that it starts quickly.

    python ChildProcess.py FOLDER COMMAND [ARGUMENTS ...]

Runs a command of the engine. Standard input is a pipe that Slicer keeps open. A byte in it is a request to save the state
needed to resume and stop. When the pipe closes, Slicer has exited or crashed, so the private folder is removed and this
process group is killed.
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
    """Handle stop requests until the parent has exited, then clean up and kill the process group."""
    while os.read(0, 1):
        _thread.interrupt_main(signal.SIGTERM)  # the engine's stop signal
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # this process leads its own group
    os._exit(1)


def main() -> None:
    folder, *arguments = sys.argv[1:]
    faulthandler.enable()  # a crash leaves a traceback in the log, a kill does not
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the engine's folder instead of this file's
    if hasattr(os, "nice"):
        os.nice(5)  # keep Slicer responsive
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the engine installs its own handler
    threading.Thread(target=endWithParent, args=(folder,), daemon=True).start()
    sys.argv = ["ctslices", *arguments]
    runpy.run_module("CTSliceSynthesisEngine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
