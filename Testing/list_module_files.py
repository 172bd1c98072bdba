"""Writes the lists of CTSliceSynthesis/CMakeLists.txt from what lies on disk: `python Testing/list_module_files.py`.

Slicer installs listed files only, and an unlisted one is silently missing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULE = Path(__file__).parents[1] / "CTSliceSynthesis"
CMAKE = MODULE / "CMakeLists.txt"
LISTS = ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")
NOT_INSTALLED = re.compile(r"(^|/)\.|__pycache__|\.egg-info")  # caches


def on_disk() -> dict[str, list[str]]:
    """The files that each list must have, in order."""
    files = sorted(path for path in MODULE.rglob("*") if path.is_file() and path != CMAKE)
    names = [path.relative_to(MODULE).as_posix() for path in files]
    names = [name for name in names if not NOT_INSTALLED.search(name)]
    scripts = [name for name in names if name.endswith(".py")]
    return dict(zip(LISTS, (scripts, [name for name in names if name not in scripts]), strict=True))


def listed(text: str) -> dict[str, list[str]]:
    """The files that the text of a CMakeLists.txt lists."""
    return {name: re.search(rf"set\({name}\n(.*?)\n\s*\)", text, re.DOTALL)[1].split() for name in LISTS}


def written(text: str, files: dict[str, list[str]]) -> str:
    """The text with these lists."""
    for name, entries in files.items():
        body = "\n".join(f"  {entry}" for entry in entries)
        text = re.sub(rf"set\({name}\n.*?\n\s*\)", f"set({name}\n{body}\n  )", text, flags=re.DOTALL)
    return text


def main() -> int:
    text = CMAKE.read_text(encoding="utf-8")
    CMAKE.write_text(written(text, on_disk()), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
