"""Stored voxels of an image file, plain or compressed; exactly as many as the header says."""

from __future__ import annotations

import bz2
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...regular_file import Stamp, open_regular

CHUNK = 1 << 20  # bytes
TIGHTEST = 200  # highest plausible compression ratio of a CT; noise does not compress, only the background does
TIGHTEST_LABELS = 1100  # highest compression ratio of zlib
SMALL = 1 << 26  # bytes; data that decompresses to no more than this is harmless
_WORD = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

RAW, ZLIB, BZIP2, TEXT, HEX = "raw", "zlib or gzip", "bzip2", "text", "hex"


class UnreadableError(Exception):
    """An image file that cannot be used; the text is the reason, as a predicate of "the file"."""


class OddGeometryError(UnreadableError):
    """An image file with invalid geometry."""


@dataclass(frozen=True)
class StoredVoxels:
    """Location and encoding of the voxels in a file.

    Attributes:
        path: of the file that contains them; stamp: of that file when its header was read.
        start: bytes before the first voxel; None if the voxels are at the end of the file.
        encoding: RAW, ZLIB, BZIP2, TEXT or HEX.
        dtype: of a stored number, including byte order.
        size: voxels along (i, j, k).
        packed_bytes: compressed size given in the header; None if not given.
        skipped: decompressed bytes before the first voxel.
        tightest: highest plausible compression ratio; a file that exceeds it is damaged or malicious.
    """

    path: Path
    stamp: Stamp
    start: int | None
    encoding: str
    dtype: np.dtype
    size: tuple[int, int, int]
    packed_bytes: int | None = None
    skipped: int = 0
    tightest: int = TIGHTEST

    @property
    def count(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.size) * self.dtype.itemsize

    def check(self) -> None:
        """Check the number of bytes without reading them.

        Raises:
            UnreadableError: there are too few or too many bytes.
        """
        available = self.stamp.size - (self.start if self.start is not None else 0)
        if self.encoding == RAW and (available < self.count or (self.start is not None and available > self.count)):
            raise UnreadableError(
                f"is cut short or damaged: its voxels take {self.count} bytes, but it has {max(available, 0)}"
            )
        if self.encoding in (ZLIB, BZIP2) and self.count > max(SMALL, self.tightest * available):
            raise UnreadableError(
                f"is cut short or damaged: {max(available, 0)} bytes cannot hold {self.count} bytes of voxels"
            )
        if self.encoding in (TEXT, HEX) and self.count > 4 * max(available, 0):
            raise UnreadableError("is cut short or damaged: some of its voxels are missing")
        if self.packed_bytes is not None and self.packed_bytes not in (0, available):
            raise UnreadableError(
                f"is cut short or damaged: it should have {self.packed_bytes} compressed bytes, but has {available}"
            )

    def load(self) -> np.ndarray:
        """Return the stored numbers (k, j, i) in native byte order.

        Raises:
            UnreadableError: there are too few or too many, or the file changed since its header was read.
        """
        self.check()
        try:
            with open_regular(self.path) as file:
                self._check_same(file)
                file.seek(self.stamp.size - self.count if self.start is None else self.start)
                content = self._content(file)
                self._check_same(file)
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror})") from None
        voxels = np.frombuffer(content, self.dtype).reshape(self.size[::-1])
        return voxels.astype(self.dtype.newbyteorder("="), copy=False)

    def _check_same(self, file: BinaryIO) -> None:
        if Stamp.of(os.fstat(file.fileno())) != self.stamp or Stamp.of(self.path.stat()) != self.stamp:
            raise UnreadableError("changed while it was read")

    def _content(self, file: BinaryIO) -> bytearray:
        if self.encoding == TEXT:
            return self._from_text(file.read())
        content, at, skipped = bytearray(self.count), 0, self.skipped
        for chunk in self._chunks(file):
            piece, skipped = chunk[skipped:], max(0, skipped - len(chunk))
            if at + len(piece) > self.count:
                raise UnreadableError("is cut short or damaged: it has more voxels than its header says")
            content[at : at + len(piece)] = piece
            at += len(piece)
        if at < self.count:
            raise UnreadableError("is cut short or damaged: it has fewer voxels than its header says")
        return content

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        if self.encoding == HEX:
            try:
                yield bytes.fromhex(file.read().decode("ascii", "replace"))
            except ValueError:
                raise UnreadableError("is cut short or damaged: its voxels are not hexadecimal numbers") from None
        elif self.encoding == RAW:
            yield from iter(lambda: file.read(CHUNK), b"")
        else:
            yield from decompressed(file, bz2.BZ2Decompressor if self.encoding == BZIP2 else None)

    def _from_text(self, text: bytes) -> bytearray:
        words = text.split()
        if len(words) != math.prod(self.size) or not all(map(_WORD.fullmatch, words)):
            raise UnreadableError(
                f"is cut short or damaged: its {len(words)} words are not {math.prod(self.size)} numbers"
            )
        numbers = np.array([float(word) for word in words])
        converted = numbers.astype(self.dtype)
        if self.dtype.kind in "iu" and not np.array_equal(converted, numbers):
            raise UnreadableError(f"holds numbers that are not of its type, {self.dtype.name}")
        return bytearray(converted.tobytes())


def decompressed(file: BinaryIO, make: Callable[[], bz2.BZ2Decompressor] | None = None) -> Iterator[bytes]:
    """Yield the decompressed rest of the file in chunks (zlib or gzip, or the given decompressor), verifying checksums.

    Raises:
        UnreadableError: the stream is truncated or damaged, or followed by other data.
    """
    try:
        packed = file.read(CHUNK)
        while packed:  # gzip files may have several members
            # 32: zlib or gzip, detected from the header
            decompressor = make() if make else zlib.decompressobj(zlib.MAX_WBITS | 32)
            while not decompressor.eof:
                yield decompressor.decompress(packed, CHUNK)
                packed = getattr(decompressor, "unconsumed_tail", b"")
                if not packed and not decompressor.eof and getattr(decompressor, "needs_input", True):
                    packed = file.read(CHUNK)
                    if not packed:
                        raise UnreadableError("is cut short or damaged: its compressed voxels are incomplete")
            packed = decompressor.unused_data or file.read(CHUNK)
            if packed and not (packed.startswith(b"\x1f\x8b") or (make and packed.startswith(b"BZh"))):
                raise UnreadableError("is cut short or damaged: other data follow its compressed voxels")
    except (zlib.error, OSError, EOFError, ValueError):
        raise UnreadableError("is cut short or damaged: its compressed voxels cannot be decompressed") from None
