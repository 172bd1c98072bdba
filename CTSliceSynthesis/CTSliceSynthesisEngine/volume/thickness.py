"""How thick slices are, told from the scan itself where nobody says it. Torch-free.

Anatomy changes as fast from slice to slice as within a slice, but for what a slice averages: thick slices that touch differ
less from their neighbours than pixels as far apart in a slice do, and what they differ by goes on from gap to gap. With mean
absolute differences, between slices a spacing (Z1) and two spacings apart (Z2), of second differences of slices (B), and
between pixels a slice spacing apart (P),

    log(thickness / spacing) = c . (1, log Z1/Z2, log Z1/P, log B/Z1)

The numbers c are fitted by Testing/benchmarks/thickness.py, which also tells how well scans are told by the others.
"""

from __future__ import annotations

import math

import numpy as np

from .intensity import HU_MIN
from .volume import Volume

COEFFICIENTS = (-1.4264, -3.9865, -0.9665, -0.7312)
"""c."""

TOUCH = 0.8
"""Slice spacings: slices told to be at least so thick are taken to touch, as most do that are not thinner; the estimate is not
sharp enough to say how far others overlap."""

THIN = 0.35
"""Slice spacings: slices told to be thicker than that and thinner than TOUCH may be of either kind.

Of the patients that the numbers were fitted on, each told by the others, none thicker than half the spacing were told to
be thinner than THIN, and none thinner than 0.75 spacings to be thicker than TOUCH, but for bells, whose tails do touch."""

_LEAST = 0.2  # slice spacings: what the estimate was fitted on
_WINDOW = 256  # pixels across, in the middle of the scan
_MOST_SLICES = 64  # in the middle of the scan
_FEWEST_SLICES, _FEWEST_VOXELS = 4, 10_000
_BODY_HU, _BODY_AROUND = -900, 9
_HIGHEST_HU, _LARGEST_STEP = 400.0, 400.0  # bone and metal would decide alone
_QUIET_HU = 0.5


def estimate_thickness(volume: Volume) -> float | None:
    """Slice thickness in mm; None where a scan might be of either kind, or shows too little to tell."""
    seen = terms(volume)
    if seen is None:
        return None
    spacing, ratio = volume.grid.slice_spacing, math.exp(float(np.dot(COEFFICIENTS, seen)))
    if ratio >= TOUCH:
        return spacing
    return spacing * max(ratio, _LEAST) if ratio < THIN else None


def terms(volume: Volume) -> np.ndarray | None:
    """What c weighs, (4,); None where a scan cannot tell."""
    from scipy import ndimage  # only scans of unknown thickness need it

    slices = _middle(np.moveaxis(volume.voxels, volume.slice_array_axis, 0))
    if len(slices) < _FEWEST_SLICES:
        return None
    hu = np.clip(slices.astype(np.float32), HU_MIN, _HIGHEST_HU)
    body = ndimage.uniform_filter(hu, (0, _BODY_AROUND, _BODY_AROUND)) > _BODY_HU
    lag = max(1, round(volume.grid.slice_spacing / float(np.mean(volume.grid.pixel_spacing))))
    one, two, bend = (_mean(_steps(hu, body, 0, *how)) for how in ((1, 1), (2, 1), (1, 2)))
    across = [_mean(_steps(hu, body, axis, lag, 1)) for axis in (1, 2)]
    if None in (one, two, bend, *across):
        return None
    assert one and two and bend and across[0] and across[1]
    pixels = (across[0] + across[1]) / 2
    return np.array([1.0, math.log(one / two), math.log(one / pixels), math.log(bend / one)])


def _middle(slices: np.ndarray) -> np.ndarray:
    wanted = (_MOST_SLICES, _WINDOW, _WINDOW)
    starts = [max(0, (have - want) // 2) for have, want in zip(slices.shape, wanted, strict=True)]
    return slices[tuple(slice(start, start + want) for start, want in zip(starts, wanted, strict=True))]


def _steps(hu: np.ndarray, body: np.ndarray, axis: int, lag: int, order: int) -> np.ndarray:
    """Differences of an order along an axis, of voxels `lag` apart that all lie in the body."""
    hu, body = np.moveaxis(hu, axis, 0), np.moveaxis(body, axis, 0)
    for _ in range(order):
        hu, body = hu[lag:] - hu[:-lag], body[lag:] & body[:-lag]
    return hu[body]


def _mean(steps: np.ndarray) -> float | None:
    """Mean absolute size in HU; None of too few."""
    if steps.size < _FEWEST_VOXELS:
        return None
    return float(np.minimum(np.abs(steps), _LARGEST_STEP).mean()) + _QUIET_HU
