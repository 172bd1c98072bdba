"""Estimation of an unknown slice thickness from the voxels. Does not import PyTorch.

Anatomy changes as fast between slices as within a slice, except for the averaging of the slice profile: contiguous thick
slices differ less from their neighbors than pixels at the same distance in a slice do, and their differences continue from
gap to gap. With mean absolute differences between slices one spacing (Z1) and two spacings apart (Z2), of second
differences of slices (B), and between pixels one slice spacing apart (P),

    log(thickness / spacing) = c . (1, log Z1/Z2, log Z1/P, log B/Z1)

The coefficients c are fitted by Testing/benchmarks/thickness.py, which also cross-validates them over scans.
"""

from __future__ import annotations

import math

import numpy as np

from .intensity import HU_MIN
from .volume import Volume

COEFFICIENTS = (-1.4264, -3.9865, -0.9665, -0.7312)
"""c."""

TOUCH = 0.8
"""Slice spacings: slices estimated to be at least this thick are assumed contiguous, as most are; the estimate is not
precise enough to quantify overlap."""

THIN = 0.35
"""Slice spacings: slices estimated between this and TOUCH may be of either kind.

In cross-validation over the patients used for fitting, no slices thicker than half the spacing were estimated thinner than
THIN, and none thinner than 0.75 spacings thicker than TOUCH, except bell profiles, whose tails do overlap."""

_LEAST = 0.2  # slice spacings; the smallest value used for fitting
_WINDOW = 256  # pixels; width of the evaluated window in the middle of the scan
_MOST_SLICES = 64  # evaluated slices in the middle of the scan
_FEWEST_SLICES, _FEWEST_VOXELS = 4, 10_000
_BODY_HU, _BODY_AROUND = -900, 9
_HIGHEST_HU, _LARGEST_STEP = 400.0, 400.0  # otherwise bone and metal would dominate
_QUIET_HU = 0.5


def estimate_thickness(volume: Volume) -> float | None:
    """Estimate the slice thickness in mm; None if the scan is ambiguous or has too few usable voxels."""
    features = terms(volume)
    if features is None:
        return None
    spacing, ratio = volume.grid.slice_spacing, math.exp(float(np.dot(COEFFICIENTS, features)))
    if ratio >= TOUCH:
        return spacing
    return spacing * max(ratio, _LEAST) if ratio < THIN else None


def terms(volume: Volume) -> np.ndarray | None:
    """Return the (4,) terms of the formula, or None if the scan has too few usable voxels."""
    from scipy import ndimage  # needed only for scans of unknown thickness

    slices = _middle(np.moveaxis(volume.voxels, volume.slice_array_axis, 0))
    if len(slices) < _FEWEST_SLICES:
        return None
    hu = np.clip(slices.astype(np.float32), HU_MIN, _HIGHEST_HU)
    body = ndimage.uniform_filter(hu, (0, _BODY_AROUND, _BODY_AROUND)) > _BODY_HU
    lag = max(1, round(volume.grid.slice_spacing / float(np.mean(volume.grid.pixel_spacing))))
    single, double, second = (_mean(_steps(hu, body, 0, *lag_and_order)) for lag_and_order in ((1, 1), (2, 1), (1, 2)))
    in_plane = [_mean(_steps(hu, body, axis, lag, 1)) for axis in (1, 2)]
    if None in (single, double, second, *in_plane):
        return None
    assert single and double and second and in_plane[0] and in_plane[1]
    pixels = (in_plane[0] + in_plane[1]) / 2
    return np.array([1.0, math.log(single / double), math.log(single / pixels), math.log(second / single)])


def _middle(slices: np.ndarray) -> np.ndarray:
    window = (_MOST_SLICES, _WINDOW, _WINDOW)
    starts = [max(0, (available - size) // 2) for available, size in zip(slices.shape, window, strict=True)]
    return slices[tuple(slice(start, start + size) for start, size in zip(starts, window, strict=True))]


def _steps(hu: np.ndarray, body: np.ndarray, axis: int, lag: int, order: int) -> np.ndarray:
    """Return differences of the given order along an axis, of voxels `lag` apart that are all in the body."""
    hu, body = np.moveaxis(hu, axis, 0), np.moveaxis(body, axis, 0)
    for _ in range(order):
        hu, body = hu[lag:] - hu[:-lag], body[lag:] & body[:-lag]
    return hu[body]


def _mean(steps: np.ndarray) -> float | None:
    """Return the mean absolute difference in HU, or None if there are too few."""
    if steps.size < _FEWEST_VOXELS:
        return None
    return float(np.minimum(np.abs(steps), _LARGEST_STEP).mean()) + _QUIET_HU
