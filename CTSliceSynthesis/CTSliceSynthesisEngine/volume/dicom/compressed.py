"""Decoding of compressed DICOM pixels by GDCM in a child process.

A damaged JPEG stream can crash the decoding process, keep it busy forever or make it use up the memory. The child receives a
file with only the pixels and returns raw numbers, or nothing. Both the parent's and the child's side are implemented here.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Timer
from types import TracebackType

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage

from ...child import command, environment
from .dicom_file import DamagedError, DicomFile, damage

SECONDS = 60  # for one file
PIXEL_MODULE = (
    "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelData",
)  # fmt: skip
_ANSWER = np.dtype("<i4")
_HEAD = 3  # numbers before the pixels: frames, rows, columns
_ITEM = b"\xfe\xff\x00\xe0"  # tag of a fragment, in little endian as all compressed syntaxes
_SPARE_BYTES = 1 << 30  # of memory for the decoder beyond the pixels themselves
_COPIES = 4  # of the pixels that the decoder and the answer need


class Decoder:
    """Decodes files with a single child process; use as a context manager."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
        if self._folder is not None:
            self._folder.cleanup()

    @staticmethod
    def is_compressed(file: DicomFile) -> bool:
        """Return whether the pixels are compressed."""
        try:
            return bool(UID(file.syntax).is_encapsulated)
        except ValueError:  # a transfer syntax that is invalid or unknown to pydicom
            return True

    def frames(self, data: Dataset, size: tuple[int, int]) -> np.ndarray:
        """Decode the pixels to (frames, rows, columns) int32, as stored.

        Args:
            data: data set including the pixels.
            size: expected rows and columns.

        Raises:
            DamagedError: the pixels cannot be decoded.
        """
        child = self._start()
        assert child.stdin is not None and child.stdout is not None and self._folder is not None
        part = Path(self._folder.name) / "pixels.dcm"
        with damage():  # e.g. an invalid transfer syntax, pixels without frames
            _pixels_only(data).save_as(part, enforce_file_format=True)
            _check_fragments(data.PixelData)
            frames = int(data.get("NumberOfFrames") or 1)
        allowed = _SPARE_BYTES + _COPIES * frames * size[0] * size[1] * _ANSWER.itemsize
        timeout = Timer(SECONDS, child.kill)
        timeout.start()
        try:
            child.stdin.write(f"{allowed} {part}\n".encode())
            child.stdin.flush()
            head = np.frombuffer(child.stdout.read(_HEAD * _ANSWER.itemsize), _ANSWER)
            if len(head) < _HEAD or tuple(head[1:]) != size:
                raise DamagedError("holds compressed pixels that cannot be decoded")
            count = int(np.prod(head.astype(np.int64)))
            pixels = np.frombuffer(child.stdout.read(count * _ANSWER.itemsize), _ANSWER)
            if len(pixels) < count:
                raise DamagedError("holds compressed pixels that cannot be decoded")
        except BrokenPipeError:
            raise DamagedError("holds compressed pixels that cannot be decoded") from None
        finally:
            timeout.cancel()
            part.unlink(missing_ok=True)
        return pixels.reshape(tuple(head))

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._folder = tempfile.TemporaryDirectory()
            self._child = subprocess.Popen(
                command("volume.dicom.compressed", "serve"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
        return self._child


def _pixels_only(data: Dataset) -> Dataset:
    """Return a copy with only the elements needed to decode the pixels: no rescaling, no nested elements."""
    reduced = Dataset()
    reduced.file_meta = FileMetaDataset()
    reduced.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    reduced.SOPClassUID = reduced.file_meta.MediaStorageSOPClassUID = CTImageStorage
    reduced.SOPInstanceUID = reduced.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    reduced.PhotometricInterpretation = "MONOCHROME2"
    for keyword in PIXEL_MODULE:
        if keyword in data:
            reduced[keyword] = data[keyword]
    return reduced


def _check_fragments(content: bytes) -> None:
    """Raise DamagedError unless encapsulated pixels are a sequence of complete fragments (DICOM PS3.5, A.4).

    GDCM allocates gigabytes for fragments whose lengths are wrong.
    """
    at = 0
    while at + 8 <= len(content) and content[at : at + 4] == _ITEM:
        (length,) = struct.unpack_from("<I", content, at + 4)
        at += 8 + length
    if at != len(content) or not at:
        raise DamagedError("holds compressed pixels that cannot be decoded")


def serve() -> int:
    """Run the child: read memory limits and file names from stdin, write decoded pixels to stdout."""
    import SimpleITK as sitk

    used = _address_space()
    for line in sys.stdin:
        allowed, _, path = line.rstrip("\n").partition(" ")
        if used:
            _limit_memory(used + int(allowed))
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(path)
        stored = sitk.GetArrayFromImage(reader.Execute())
        stored = stored.reshape(-1, *stored.shape[-2:])
        sys.stdout.buffer.write(np.array(stored.shape, _ANSWER).tobytes())
        sys.stdout.buffer.write(stored.astype(_ANSWER).tobytes())
        sys.stdout.buffer.flush()
    return 0


def _address_space() -> int:
    """Return the size of this process's address space in bytes; 0 where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_memory(size: int) -> None:
    """Let allocations fail beyond this size of the address space."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))
