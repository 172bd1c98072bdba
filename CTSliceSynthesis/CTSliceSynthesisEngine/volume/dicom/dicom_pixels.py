"""Pixels of DICOM images as HU: stored value x slope + intercept, ignoring display settings."""

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
    """Return the HU of a stack (k, j, i): int16 if all values are integers and fit, otherwise int32 or float32.

    Args:
        slices: the images, in the order of the stack.
        at: fractional indices for linear interpolation; None for the images themselves.

    Raises:
        SynthesisError: "bad-input" for a file that changed since its header was read or cannot be decoded.
    """
    first = slices[0]
    is_whole = all(image.is_whole for image in slices)
    stack = np.empty((len(slices), first.rows, first.columns), np.int16 if is_whole else np.float32)
    for index, (image, stored) in enumerate(zip(slices, _stored(slices), strict=True)):
        hu = _hu(image, stored)
        if stack.dtype == np.int16 and not _fits_int16(hu):
            stack = stack.astype(np.int32)
        stack[index] = hu
    return stack if at is None else _interpolate(stack, at)


def pixels_hash(image: Slice) -> str:
    """Return a hash of the stored pixels of an image.

    Raises:
        SynthesisError: "bad-input".
    """
    file = open_unchanged(image)
    return hashlib.blake2b(file.stored_bytes() + b"%d" % image.frame, digest_size=16).hexdigest()


def _stored(slices: Sequence[Slice]) -> Iterator[np.ndarray]:
    """Yield the stored pixels (rows, columns) in stack order; a multi-frame file is read once."""
    with Decoder() as decoder:
        for path, images in groupby(slices, lambda image: image.path):
            of_file = list(images)
            frames = _frames(path, of_file[0], decoder)
            for image in of_file:
                if image.frame >= len(frames):
                    raise _refusal(path, "has fewer frames than its header says")
                yield frames[image.frame]


def _frames(path: Path, first: Slice, decoder: Decoder) -> np.ndarray:
    """Return the stored pixels (frames, rows, columns) of one file."""
    file = open_unchanged(first)
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
    return (native << unused) >> unused if unused else native  # older files may use the spare bits for overlays


def open_unchanged(image: Slice, with_pixels: bool = True) -> DicomFile:
    """Open the file of an image and check that it has not changed since its header was read.

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
        raise _refusal(image.path, f"gives the slope {slope:g} and the intercept {intercept:g}, which do not give HU")
    hu = stored.astype(np.int64) * int(slope) + int(intercept)
    if hu.max() > MOST_HU or hu.min() < -MOST_HU:
        raise _refusal(image.path, f"holds values from {hu.min()} to {hu.max()}, which are not HU")
    return hu


def _fits_int16(pixels: np.ndarray) -> bool:
    limits = np.iinfo(np.int16)
    return bool(pixels.min() >= limits.min and pixels.max() <= limits.max)


def _interpolate(stack: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate slices linearly at fractional indices, keeping the type."""
    regular = np.empty((len(at), *stack.shape[1:]), stack.dtype)
    for index, position in enumerate(at):
        low = min(int(position), len(stack) - 2)
        weight = position - low
        blend = (1 - weight) * stack[low] + weight * stack[low + 1]
        regular[index] = np.rint(blend) if stack.dtype.kind in "iu" else blend
    return regular


def _refusal(path: Path, why: str) -> SynthesisError:
    message = f"The DICOM file {path} {why}"
    return SynthesisError("bad-input", f"{message}; copy or export it again.")
