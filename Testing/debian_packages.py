"""Names the Debian packages that the tests need and this machine lacks: `python Testing/debian_packages.py`.

Prints nothing where all is there, or where the system is no Debian; `--names` prints the missing names alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

DRAWING = (
    "libegl1", "libgl1", "libgl1-mesa-dri", "libxkbcommon0", "libdbus-1-3", "libfontconfig1", "libglib2.0-0", "libx11-6",
    "fonts-dejavu-core",
)  # fmt: skip
"""What the module's tests draw with."""
JUDGES = ("dicom3tools", "dcm2niix")
"""What looks at our DICOM series with other eyes."""
PACKAGES = (*DRAWING, *JUDGES)
RENAMED = {"libglib2.0-0": "libglib2.0-0t64"}  # Debian 13, Ubuntu 24.04


def installed(name: str) -> bool:
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}", name]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() == "installed"


def missing() -> list[str]:
    """Packages that are not installed, under either name."""
    if not Path("/etc/debian_version").exists() or shutil.which("dpkg-query") is None:
        return []
    return [name for name in PACKAGES if not installed(name) and not installed(RENAMED.get(name, name))]


def main(arguments: list[str]) -> int:
    names = missing()
    if "--names" in arguments:
        print(*names)
        return 0
    if not names:
        return 0
    print(
        f"The tests draw, and have DICOM files judged: they need {', '.join(names)}. Install them with", file=sys.stderr
    )
    print(f"    sudo apt-get install --no-install-recommends {' '.join(names)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
