"""`ctslices`, and `python -m CTSliceSynthesisEngine`: looks whether there is room for numpy before it is loaded.

With too little memory the libraries below numpy do not fail: they try again for ever, or end the process.
"""

from __future__ import annotations

import mmap
import sys

from .errors import REASONS, printable

NEEDED = 192 << 20  # bytes of address space: numpy with the threads of its linear algebra


def main() -> int:
    """Run one command of the command line; the return value is the exit status."""
    try:
        mmap.mmap(-1, NEEDED).close()
        from .jobs.commands import main as run
    except (MemoryError, OSError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(
            printable(f"ctslices: There is too little memory to start ({first}): close other programs."),
            file=sys.stderr,
        )
        return REASONS["no-memory"]
    return run()


if __name__ == "__main__":
    sys.exit(main())
