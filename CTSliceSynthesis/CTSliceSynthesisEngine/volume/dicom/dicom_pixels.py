"""The pixels of DICOM images as HU: stored value x slope + intercept, whatever the file says of how to show them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from ...errors import SynthesisError
from ..dicom_slice import Slice
from .compressed import Decoder
from .dicom_file import DamagedError, DicomFile, NotDicomError

MOST_HU = 2**31 - 1


def voxels(slices: Sequence[Slice], at: np.ndarray | None = None) -> np.ndarray:
    """HU of a stack (k, j, i): int16 where all values are whole and fit, else int32 or float32.

    Args:
        slices: the images, in the order of the stack.
        at: fractional indices to interpolate at, linearly; None for the images themselves.

    Raises:
        SynthesisError: "bad-input" for a file that changed since its header was read, or cannot be decoded.
    """
    first = slices[0]
    is_whole = all(image.is_whole for image in slices)
    stack = np.empty((len(slices), first.rows, first.columns), np.int16 if is_whole else np.float32)
    for index, (image, stored) in enumerate(zip(slices, _stored(slices), strict=True)):
        hu = _hu(image, stored)
        if stack.dtype == np.int16 and not _fits_int16(hu):
            stack = stack.astype(np.int32)
        stack[index] = hu
    return stack if at is None else _interpolated(stack, at)


def pixels_hash(image: Slice) -> str:
    """A hash of what an image shows, as it is stored.

    Raises:
        SynthesisError: "bad-input".
    """
    file = opened(image)
    return hashlib.blake2b(file.stored_bytes() + b"%d" % image.frame, digest_size=16).hexdigest()


def _stored(slices: Sequence[Slice]) -> Iterator[np.ndarray]:
    """The images' stored pixels (rows, columns), in the order of the stack; a file with many frames is read once."""
    with Decoder() as decoder:
        for path, images in groupby(slices, lambda image: image.path):
            of_file = list(images)
            frames = _frames(path, of_file[0], decoder)
            for image in of_file:
                if image.frame >= len(frames):
                    raise _refusal(path, "holds fewer frames than it says")
                yield frames[image.frame]


def _frames(path: Path, first: Slice, decoder: Decoder) -> np.ndarray:
    """(frames, rows, columns) of one file, as stored."""
    file = opened(first)
    if decoder.is_compressed(file):
        try:
            return decoder.frames(file.data, (first.rows, first.columns))
        except DamagedError as error:
            raise _refusal(path, str(error)) from None
    dtype, pixels = file.stored_type(), first.rows * first.columns
    content = file.stored_bytes()
    count = len(content) // (pixels * dtype.itemsize)
    if not count:
        raise _refusal(path, "is cut short or damaged")
    frames = np.frombuffer(content, dtype, count * pixels).reshape(count, first.rows, first.columns)
    unused = file.bits_allocated - (file.whole("BitsStored") or file.bits_allocated)
    native = frames.astype(dtype.newbyteorder("="), copy=False)
    return (native << unused) >> unused if unused else native  # what older files keep in the unused bits is no pixel


def opened(image: Slice, with_pixels: bool = True) -> DicomFile:
    """The file of an image, if it still is the one whose header was read.

    Raises:
        SynthesisError: "bad-input".
    """
    try:
        file = DicomFile(image.path, with_pixels)
    except (NotDicomError, DamagedError) as error:
        raise _refusal(image.path, str(error)) from None
    except OSError as error:
        raise _refusal(image.path, f"cannot be opened ({error.strerror})") from None
    if file.stamp != image.stamp:
        raise _refusal(image.path, "changed while the scan was read")
    return file


def _hu(image: Slice, stored: np.ndarray) -> np.ndarray:
    slope, intercept = image.rescale or (1.0, 0.0)
    if not image.is_whole:
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if max(abs(slope), abs(intercept)) > MOST_HU:
        raise _refusal(image.path, f"gives the slope {slope:g} and the intercept {intercept:g}, which give no HU")
    hu = stored.astype(np.int64) * int(slope) + int(intercept)
    if hu.max() > MOST_HU or hu.min() < -MOST_HU:
        raise _refusal(image.path, f"holds values from {hu.min()} to {hu.max()}, which are no HU")
    return hu


def _fits_int16(pixels: np.ndarray) -> bool:
    limits = np.iinfo(np.int16)
    return bool(pixels.min() >= limits.min and pixels.max() <= limits.max)


def _interpolated(stack: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Slices at fractional indices, linearly, in the same type."""
    regular = np.empty((len(at), *stack.shape[1:]), stack.dtype)
    for index, place in enumerate(at):
        low = min(int(place), len(stack) - 2)
        share = place - low
        blend = (1 - share) * stack[low] + share * stack[low + 1]
        regular[index] = np.rint(blend) if stack.dtype.kind in "iu" else blend
    return regular


def _refusal(path: Path, why: str) -> SynthesisError:
    message = f"The DICOM file {path} {why}"
    return SynthesisError("bad-input", f"{message}; copy or export it again.")
