"""A single DICOM file, parsed by pydicom: its elements as stored, and its pixels before rescaling.

Hostile input never reaches pydicom: pipes, devices, and compressed files that would exhaust memory.
"""

from __future__ import annotations

import math
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from ...regular_file import Stamp, open_regular

PREAMBLE = 128  # bytes before the prefix DICM
DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1".ljust(len(DEFLATED), b"\0")
MOST_UNPACKED = 1 << 29  # bytes of one inflated file; a slice has half a megabyte
PIXELS = "PixelData"
UNDEFINED_LENGTH = 0xFFFFFFFF
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


class NotDicomError(Exception):
    """The file is not a DICOM file; the text describes it, as a predicate of "the file"."""


class DamagedError(Exception):
    """The file is DICOM but cannot be read; the text is the reason, as a predicate of "the file"."""


class DicomFile:
    """A parsed file.

    Attributes:
        path: of the file; stamp: of the file that was read.
        data: pydicom's data set, without the pixels unless requested.
        pixel_bytes: length of the stored pixels given in the file: None if there are none, UNDEFINED_LENGTH if compressed.
        pixel_bytes_left: bytes in the file from the start of the pixels on.
    """

    def __init__(self, path: Path, with_pixels: bool = False) -> None:
        """Parse a file.

        Raises:
            NotDicomError, DamagedError: see these classes.
            OSError: it cannot be opened.
        """
        self.path = path
        with open_regular(path) as file:
            self.stamp = Stamp.of(os.fstat(file.fileno()))
            source = _check(file, self.stamp.size)
            self.data = _parse(source, with_pixels)
            self.pixel_bytes, self.pixel_bytes_left = (None, 0) if with_pixels else self._pixel_length(source)

    def text(self, keyword: str) -> str:
        """Return an element as text, multiple values separated by backslashes; "" if missing or empty."""
        return as_text(self.data, keyword)

    def label(self, keyword: str) -> str:
        """Return an element as one line of display text, decoded with the file's character sets."""
        stored = self.text(keyword)
        if stored.isascii() and "\x1b" not in stored:  # nothing to decode; matters for folders with thousands of files
            return " ".join(stored.split())
        try:
            with silence():
                return " ".join(str(self.data.get(keyword, "") or "").split())
        except Exception:  # a character set that pydicom does not know
            return " ".join(stored.split())

    def whole(self, keyword: str) -> int | None:
        """Return the value of an unsigned 16-bit element, or None if missing."""
        item = self.data.get_item(_tag(keyword))
        if item is None or item.value is None:
            return None
        if isinstance(item.value, bytes):
            order = "little" if getattr(item, "is_little_endian", True) else "big"
            return int.from_bytes(item.value, cast(Any, order)) if len(item.value) == 2 else None
        return item.value if isinstance(item.value, int) else None

    @property
    def syntax(self) -> str:
        """The transfer syntax, or the default if the file does not give one."""
        return str(self.data.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian))

    @property
    def sop_class(self) -> str:
        """The SOP class (0008,0016), or (0002,0002); "" if both are missing."""
        return self.text("SOPClassUID") or str(self.data.file_meta.get("MediaStorageSOPClassUID", ""))

    def stored_bytes(self) -> bytes:
        """Return the pixels as stored; requires `with_pixels`."""
        item = self.data.get_item(_tag(PIXELS))
        return item.value if item is not None and isinstance(item.value, bytes) else b""

    def stored_type(self) -> np.dtype:
        """Return the data type of a stored pixel, in the file's byte order."""
        order = ">" if self.syntax == pydicom.uid.ExplicitVRBigEndian else "<"
        return np.dtype(f"{order}{'i' if self.whole('PixelRepresentation') else 'u'}{self.bits_allocated // 8}")

    @property
    def bits_allocated(self) -> int:
        """Bits per pixel."""
        return self.whole("BitsAllocated") or 0

    def _pixel_length(self, source: BinaryIO) -> tuple[int | None, int]:
        """Return the stated length of the pixel element and the bytes available; parsing stopped just before it."""
        head = source.read(12)
        explicit = head[4:6].isalpha()
        size = 12 if explicit else 8
        if len(head) < size:
            return None, 0
        order = "big" if self.syntax == pydicom.uid.ExplicitVRBigEndian else "little"
        start = source.tell() - len(head) + size
        end = source.seek(0, os.SEEK_END)
        return int.from_bytes(head[size - 4 : size], cast(Any, order)), end - start


def as_text(data: Dataset, keyword: str) -> str:
    """Return an element of a data set as text, multiple values separated by backslashes; "" if missing or empty."""
    item = data.get_item(_tag(keyword))
    if item is None or item.value is None:
        return ""
    if isinstance(item.value, bytes):
        return item.value.decode("latin-1").strip(" \0")
    if isinstance(item.value, (list, tuple)) or type(item.value).__name__ == "MultiValue":
        return "\\".join(map(str, item.value)).strip(" \0")
    return str(item.value).strip(" \0")


def numbers(text: str, count: int) -> tuple[float, ...] | None:
    """Parse `count` finite numbers from a DICOM text; None if it contains anything else."""
    parts = [part.strip(" \0") for part in text.split("\\")]
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    values = tuple(map(float, parts))
    return values if all(map(math.isfinite, values)) else None


def decimals(text: str) -> tuple[int, ...]:
    """Return the decimals of each number in a DICOM text, without trailing zeros; 99 for numbers with an exponent."""
    parts = [part.strip(" \0").lower() for part in text.split("\\")]
    return tuple(99 if "e" in part else len(part.partition(".")[2].rstrip("0")) for part in parts)


def _check(file: BinaryIO, size: int) -> BinaryIO:
    """Return the file, or its inflated content, positioned at the start; raise NotDicomError or DamagedError."""
    if not size:
        raise NotDicomError("is empty")
    head = file.read(1024)
    file.seek(0)
    if head[PREAMBLE : PREAMBLE + 4] != b"DICM":
        if _is_bare(head):
            return file
        raise NotDicomError("is not a DICOM file" if any(head) else "contains only zeros")
    return BytesIO(_inflate(file.read(MOST_UNPACKED))) if DEFLATED in head[PREAMBLE:] else file


def _is_bare(head: bytes) -> bool:
    """Return whether this is a data set without preamble: it starts with an initial element of group 2 or 8."""
    known = [(0x0002, 0x0000), (0x0002, 0x0001), (0x0002, 0x0002), (0x0008, 0x0000), (0x0008, 0x0001), (0x0008, 0x0005)]
    known += [(0x0008, 0x0008), (0x0008, 0x0016)]
    return any(head.startswith(group.to_bytes(2, "little") + element.to_bytes(2, "little")) for group, element in known)


def _inflate(content: bytes) -> bytes:
    """Return a deflated file as a plain one."""
    length = int.from_bytes(content[PREAMBLE + 12 : PREAMBLE + 16], "little")  # of the header, in its first element
    start = PREAMBLE + 16 + length
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = decompressor.decompress(content[start:], MOST_UNPACKED)
    except zlib.error:
        raise DamagedError("cannot be decompressed") from None
    if not decompressor.eof:
        raise DamagedError(f"is cut short or damaged, or decompresses to more than {MOST_UNPACKED >> 20} MB")
    return content[:start].replace(DEFLATED, EXPLICIT) + plain


def _parse(source: BinaryIO, with_pixels: bool) -> Dataset:
    with damage():
        return pydicom.dcmread(source, stop_before_pixels=not with_pixels, force=True)


@contextmanager
def damage() -> Iterator[None]:
    """Convert the many exceptions that pydicom raises when parsing or accessing values.

    Raises:
        DamagedError: in place of them.
    """
    try:
        with silence():
            yield
    except (MemoryError, OSError, DamagedError):
        raise
    except RecursionError:
        raise DamagedError("is nested too deeply") from None
    except Exception as error:
        raise DamagedError(f"cannot be parsed ({type(error).__name__})") from None


@contextmanager
def silence() -> Iterator[None]:
    """Suppress pydicom's warnings, which often concern values that are not used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_TAGS: dict[str, BaseTag] = {}


def _tag(keyword: str) -> BaseTag:
    """Return the tag of a keyword, cached because a folder may have thousands of files."""
    if keyword not in _TAGS:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        _TAGS[keyword] = Tag(tag)
    return _TAGS[keyword]
