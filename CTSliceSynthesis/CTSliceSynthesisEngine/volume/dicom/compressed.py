"""Decoding of compressed DICOM pixels by GDCM in a child process.

A damaged JPEG stream can crash the decoding process or keep it busy forever. The child receives a file with only the pixels
and returns raw numbers, or nothing. Both the parent's and the child's side are implemented here.
"""

from __future__ import annotations

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
        timeout = Timer(SECONDS, child.kill)
        timeout.start()
        try:
            child.stdin.write(f"{part}\n".encode())
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


def serve() -> int:
    """Run the child: read file names from stdin, write decoded pixels to stdout."""
    import SimpleITK as sitk

    for line in sys.stdin:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(line.rstrip("\n"))
        stored = sitk.GetArrayFromImage(reader.Execute())
        stored = stored.reshape(-1, *stored.shape[-2:])
        sys.stdout.buffer.write(np.array(stored.shape, _ANSWER).tobytes())
        sys.stdout.buffer.write(stored.astype(_ANSWER).tobytes())
        sys.stdout.buffer.flush()
    return 0
