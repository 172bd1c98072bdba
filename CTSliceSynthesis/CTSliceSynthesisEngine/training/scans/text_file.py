"""Reads text files as written by editors and spreadsheets."""

from __future__ import annotations

import codecs
from pathlib import Path

from ...regular_file import read_regular

_LARGEST = 64 << 20  # bytes of a list or a table
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark, without the mark.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not text.
    """
    content = read_regular(path, _LARGEST)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding)
