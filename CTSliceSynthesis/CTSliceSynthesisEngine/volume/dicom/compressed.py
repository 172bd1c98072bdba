"""Compressed DICOM pixels, decoded by GDCM in a process of its own.

A damaged JPEG stream can end the process that decodes it, or keep it busy for ever. The child is handed a file that holds
the pixels and nothing else, and answers with numbers or not at all. Both ends stand here.
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
    """Decodes files, with one child for all of them; use as a context."""

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
        """True if the pixels are not simply one number after the other."""
        try:
            return bool(UID(file.syntax).is_encapsulated)
        except ValueError:  # a syntax that pydicom does not know, or none of them
            return True

    def frames(self, data: Dataset, size: tuple[int, int]) -> np.ndarray:
        """(frames, rows, columns) int32, as stored.

        Args:
            data: with the pixels.
            size: rows and columns that are expected.

        Raises:
            DamagedError: it cannot be decoded.
        """
        child = self._started()
        assert child.stdin is not None and child.stdout is not None and self._folder is not None
        part = Path(self._folder.name) / "pixels.dcm"
        with damage():  # a transfer syntax that is none, pixels without frames
            _pixels_alone(data).save_as(part, enforce_file_format=True)
        clock = Timer(SECONDS, child.kill)
        clock.start()
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
            clock.cancel()
            part.unlink(missing_ok=True)
        return pixels.reshape(tuple(head))

    def _started(self) -> subprocess.Popen[bytes]:
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


def _pixels_alone(data: Dataset) -> Dataset:
    """The file without all that is not needed to decode its pixels: no rescaling, no nested elements."""
    alone = Dataset()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    alone.SOPClassUID = alone.file_meta.MediaStorageSOPClassUID = CTImageStorage
    alone.SOPInstanceUID = alone.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    alone.PhotometricInterpretation = "MONOCHROME2"
    for keyword in PIXEL_MODULE:
        if keyword in data:
            alone[keyword] = data[keyword]
    return alone


def serve() -> int:
    """The child: names of files come in, numbers go out."""
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
