"""Voxels as an image file stores them: one number after the other, plain or packed. Exactly as many as the header says."""

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
TIGHTEST = 1032  # times that zlib can pack at all; label maps come near it
SMALL = 1 << 26  # bytes: what unpacks to no more is no danger
_WORD = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

RAW, ZLIB, BZIP2, TEXT, HEX = "raw", "zlib or gzip", "bzip2", "text", "hex"


class UnreadableError(Exception):
    """An image file that cannot be used; the text says why, to go on from "the file"."""


class OddGeometryError(UnreadableError):
    """The same, where it is the place of the voxels that cannot be."""


@dataclass(frozen=True)
class StoredVoxels:
    """Where and how a file keeps its voxels.

    Attributes:
        path: of the file that holds them; stamp: of that file when its header was read.
        start: bytes before the first voxel; None where they end with the file.
        encoding: RAW, ZLIB, BZIP2, TEXT or HEX.
        dtype: of a stored number, with its byte order.
        size: voxels along (i, j, k).
        packed_bytes: how long they are in the file, as its header says; None where it does not.
        skipped: unpacked bytes before the first voxel.
    """

    path: Path
    stamp: Stamp
    start: int | None
    encoding: str
    dtype: np.dtype
    size: tuple[int, int, int]
    packed_bytes: int | None = None
    skipped: int = 0

    @property
    def count(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.size) * self.dtype.itemsize

    def check(self) -> None:
        """Find out without reading them whether they can be there.

        Raises:
            UnreadableError: there are too few or too many bytes.
        """
        held = self.stamp.size - (self.start if self.start is not None else 0)
        if self.encoding == RAW and (held < self.count or (self.start is not None and held > self.count)):
            raise UnreadableError(
                f"is cut short or damaged: its voxels take {self.count} bytes and {max(held, 0)} are there"
            )
        if self.encoding in (ZLIB, BZIP2) and self.count > max(SMALL, TIGHTEST * held):
            raise UnreadableError(
                f"is cut short or damaged: {max(held, 0)} bytes cannot hold {self.count} bytes of voxels"
            )
        if self.encoding in (TEXT, HEX) and self.count > 4 * max(held, 0):
            raise UnreadableError("is cut short or damaged: its voxels are not all there")
        if self.packed_bytes is not None and self.packed_bytes not in (0, held):
            raise UnreadableError(
                f"is cut short or damaged: it says {self.packed_bytes} packed bytes and {held} are there"
            )

    def load(self) -> np.ndarray:
        """The stored numbers (k, j, i), in this machine's byte order.

        Raises:
            UnreadableError: they are not exactly there, or the file changed since its header was read.
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
        for whole in self._pieces(file):
            piece, skipped = whole[skipped:], max(0, skipped - len(whole))
            if at + len(piece) > self.count:
                raise UnreadableError("is cut short or damaged: it holds more voxels than it says")
            content[at : at + len(piece)] = piece
            at += len(piece)
        if at < self.count:
            raise UnreadableError("is cut short or damaged: it holds fewer voxels than it says")
        return content

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        if self.encoding == HEX:
            try:
                yield bytes.fromhex(file.read().decode("ascii", "replace"))
            except ValueError:
                raise UnreadableError("is cut short or damaged: its voxels are no hexadecimal numbers") from None
        elif self.encoding == RAW:
            yield from iter(lambda: file.read(CHUNK), b"")
        else:
            yield from unpacked(file, bz2.BZ2Decompressor if self.encoding == BZIP2 else None)

    def _from_text(self, text: bytes) -> bytearray:
        words = text.split()
        if len(words) != math.prod(self.size) or not all(map(_WORD.fullmatch, words)):
            raise UnreadableError(
                f"is cut short or damaged: its {len(words)} words are not {math.prod(self.size)} numbers"
            )
        numbers = np.array([float(word) for word in words])
        kept = numbers.astype(self.dtype)
        if self.dtype.kind in "iu" and not np.array_equal(kept, numbers):
            raise UnreadableError(f"holds numbers that are not of its type, {self.dtype.name}")
        return bytearray(kept.tobytes())


def unpacked(file: BinaryIO, make: Callable[[], bz2.BZ2Decompressor] | None = None) -> Iterator[bytes]:
    """Pieces of what the rest of the file packs with zlib or gzip, or with another packer; checksums are verified.

    Raises:
        UnreadableError: the stream is cut short or damaged, or something follows it.
    """
    try:
        packed = file.read(CHUNK)
        while packed:  # gzip files may have several members
            unpacker = (
                make() if make else zlib.decompressobj(zlib.MAX_WBITS | 32)
            )  # 32: zlib or gzip, by its first bytes
            while not unpacker.eof:
                yield unpacker.decompress(packed, CHUNK)
                packed = getattr(unpacker, "unconsumed_tail", b"")
                if not packed and not unpacker.eof and getattr(unpacker, "needs_input", True):
                    packed = file.read(CHUNK)
                    if not packed:
                        raise UnreadableError("is cut short or damaged: its packed voxels do not end")
            packed = unpacker.unused_data or file.read(CHUNK)
            if packed and not (packed.startswith(b"\x1f\x8b") or (make and packed.startswith(b"BZh"))):
                raise UnreadableError("is cut short or damaged: something follows its packed voxels")
    except (zlib.error, OSError, EOFError, ValueError):
        raise UnreadableError("is cut short or damaged: its packed voxels do not unpack") from None
