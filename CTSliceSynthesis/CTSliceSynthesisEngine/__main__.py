"""`ctslices` and `python -m CTSliceSynthesisEngine`: check that enough memory is available before loading numpy.

With too little memory the libraries underneath numpy do not raise: they retry forever or abort the process.
"""

from __future__ import annotations

import mmap
import sys

from .errors import REASONS, printable

NEEDED = 192 << 20  # bytes of address space: numpy with its linear algebra threads


def main() -> int:
    """Run the command line and return the exit status."""
    try:
        mmap.mmap(-1, NEEDED).close()
        from .jobs.commands import main as run
    except (MemoryError, OSError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(
            printable(f"ctslices: There is too little memory to start ({reason}): close other programs."),
            file=sys.stderr,
        )
        return REASONS["no-memory"]
    return run()


if __name__ == "__main__":
    sys.exit(main())
