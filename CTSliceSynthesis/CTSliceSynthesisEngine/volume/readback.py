"""Did a file arrive on the disk whole? Its voxels are unpacked piece by piece and compared by checksum, not held in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_PIECE = 1 << 20  # bytes
_NIFTI_HEADER = 352  # bytes before the voxels of a NIfTI file of one part
_MORE_THAN_A_HEADER = 1 << 16  # bytes that no line of a header has


def holds(path: Path, suffix: str, voxels: np.ndarray) -> bool:
    """True if a file that was just written as NRRD, MetaImage or NIfTI holds the bytes of these voxels, to the last."""
    try:
        return _summary(_stored(path, suffix)) == _summary(np.ascontiguousarray(plane).data for plane in voxels)
    except (OSError, EOFError, zlib.error):
        return False


def _summary(pieces: Iterable[bytes | memoryview]) -> tuple[int, int]:
    """Number of bytes and their checksum."""
    count = checksum = 0
    for piece in pieces:
        count += len(piece) if isinstance(piece, bytes) else piece.nbytes
        checksum = zlib.crc32(piece, checksum)
    return count, checksum


def _stored(path: Path, suffix: str) -> Iterator[bytes]:
    """The bytes of the voxels in the file."""
    with path.open("rb") as file:
        packed = suffix == ".nii.gz"
        if suffix == ".nrrd":  # the header ends with an empty line
            lines = list(iter(lambda: file.readline(_MORE_THAN_A_HEADER).strip(), b""))
            packed = b"encoding: gzip" in lines
        elif suffix == ".mha":  # the header ends with the name of the data file
            lines = list(_until(file, b"ElementDataFile"))
            packed = any(line.startswith(b"CompressedData ") and b"True" in line for line in lines)
        skipped = _NIFTI_HEADER if suffix.startswith(".nii") else 0
        for piece in _unpacked(file) if packed else iter(lambda: file.read(_PIECE), b""):
            yield piece[skipped:]
            skipped = max(0, skipped - len(piece))


def _until(file: BinaryIO, last: bytes) -> Iterator[bytes]:
    """Lines up to the one that begins with `last`."""
    while line := file.readline(_MORE_THAN_A_HEADER):
        yield line
        if line.startswith(last):
            return


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Pieces of what the rest of the file packs; EOFError where it is cut short."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: zlib or gzip, by its first bytes
    while not unpacker.eof and (packed := file.read(_PIECE)):
        while packed:
            yield unpacker.decompress(packed, _PIECE)
            packed = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise EOFError
