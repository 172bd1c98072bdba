"""Verification of written files: voxels are decompressed in chunks and compared by checksum, not held in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK = 1 << 20  # bytes
_NIFTI_HEADER = 352  # bytes before the voxels of a NIfTI file of one part
_MORE_THAN_A_HEADER = 1 << 16  # bytes; longer than any header line


def holds(path: Path, suffix: str, voxels: np.ndarray) -> bool:
    """Return whether a file just written as NRRD, MetaImage or NIfTI contains exactly the bytes of these voxels."""
    try:
        return _summary(_stored(path, suffix)) == _summary(np.ascontiguousarray(plane).data for plane in voxels)
    except (OSError, EOFError, zlib.error):
        return False


def _summary(chunks: Iterable[bytes | memoryview]) -> tuple[int, int]:
    """Return the number of bytes and their checksum."""
    count = checksum = 0
    for chunk in chunks:
        count += len(chunk) if isinstance(chunk, bytes) else chunk.nbytes
        checksum = zlib.crc32(chunk, checksum)
    return count, checksum


def _stored(path: Path, suffix: str) -> Iterator[bytes]:
    """Yield the bytes of the voxels in the file."""
    with path.open("rb") as file:
        compressed = suffix == ".nii.gz"
        if suffix == ".nrrd":  # the header ends with an empty line
            lines = list(iter(lambda: file.readline(_MORE_THAN_A_HEADER).strip(), b""))
            compressed = b"encoding: gzip" in lines
        elif suffix == ".mha":  # the data file name is the last header line
            lines = list(_until(file, b"ElementDataFile"))
            compressed = any(line.startswith(b"CompressedData ") and b"True" in line for line in lines)
        skipped = _NIFTI_HEADER if suffix.startswith(".nii") else 0
        for chunk in _decompress(file) if compressed else iter(lambda: file.read(_CHUNK), b""):
            yield chunk[skipped:]
            skipped = max(0, skipped - len(chunk))


def _until(file: BinaryIO, last: bytes) -> Iterator[bytes]:
    """Yield lines up to the one that begins with `last`."""
    while line := file.readline(_MORE_THAN_A_HEADER):
        yield line
        if line.startswith(last):
            return


def _decompress(file: BinaryIO) -> Iterator[bytes]:
    """Yield the decompressed rest of the file in chunks; raise EOFError if it is truncated."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: zlib or gzip, by its first bytes
    while not decompressor.eof and (compressed := file.read(_CHUNK)):
        while compressed:
            yield decompressor.decompress(compressed, _CHUNK)
            compressed = decompressor.unconsumed_tail
    if not decompressor.eof:
        raise EOFError
