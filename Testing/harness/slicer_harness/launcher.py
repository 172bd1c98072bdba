"""Stub of PythonSlicer, which starts Slicer's Python and waits for it: a crash becomes exit code 1.

Like CTK's launcher, it passes on input, output and exit code, but reports a signal only as text.
"""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = """#!{python} -IS
import subprocess, sys
code = subprocess.call([{python!r}, *sys.argv[1:]])
if code < 0:
    sys.stderr.write("error: [{python}] exit abnormally - Report the problem.\\n")
sys.exit(1 if code < 0 else code)
"""


def write(folder: Path) -> Path:
    """Write the launcher of this Python into a folder."""
    path = folder / "PythonSlicer"
    path.write_text(SCRIPT.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o700)
    return path


def launched(pid: int) -> int:
    """Return the process id of the Python that a launcher has started; OSError if there is none (any more)."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if not found:
        raise ProcessLookupError(f"the launcher {pid} has started nothing")
    return int(found[0])
