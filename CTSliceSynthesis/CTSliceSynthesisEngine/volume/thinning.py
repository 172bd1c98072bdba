"""What makes slices thick: the one model of it, used to train and to test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import SynthesisError
from .grid import whole_factor
from .intensity import HU_MAX, HU_MIN
from .volume import Volume

PROFILES = ("gap", "slab")
"""gap: thin slices far apart (some were not stored); slab: thick slices that touch (each averages over its spacing)."""


def thin_out(volume: Volume, factor: int, profile: str) -> Volume:
    """Keep every `factor`-th slice, as a scan with larger slice spacing would have it.

    Args:
        volume: the thin scan; only the longest run of slices that starts and ends on a kept slice counts.
        factor: thin slices per thick one, at least 1.
        profile: "gap" drops slices (the thickness stays); "slab" averages over `factor` spacings centred on each kept
            slice (the thickness becomes the new spacing), the first and last slice standing in for what lies outside.

    Returns:
        The thick scan on `volume.grid.coarsened(factor)`: int16, rounded, clipped to [HU_MIN, HU_MAX].

    Raises:
        SynthesisError: "bad-option" for an unknown profile, or a factor that leaves fewer than two slices.
    """
    factor = _checked(volume, whole_factor(factor), profile)
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
    grid = volume.grid.coarsened(factor)
    weights = np.ones(1)
    if profile == "slab":
        weights = slab_weights(factor)
        grid = replace(grid, thickness=grid.slice_spacing)
    last = (grid.slice_count - 1) * factor
    thick = np.stack([_weighted(slices, at, weights, last) for at in range(0, last + 1, factor)])
    return replace(volume, voxels=np.moveaxis(thick, 0, volume.slice_array_axis), grid=grid)


def slab_weights(factor: int) -> np.ndarray:
    """Weights, summing to 1, of the thin slices in a slab of `factor` spacings centred on one of them.

    factor 3:    |1 1 1|      factor 4:  |½ 1 1 1 ½|
                    ^ kept slice               ^ an even slab ends inside slices, and takes half of each
    """
    weights = np.ones(factor + 1 - factor % 2)
    if factor % 2 == 0:
        weights[[0, -1]] = 0.5
    return weights / factor


def _weighted(slices: np.ndarray, at: int, weights: np.ndarray, last: int) -> np.ndarray:
    """The weighted mean, int16, of the slices (n, ..) around `at`, with those below 0 and above `last` repeated."""
    mean = np.zeros(slices.shape[1:])
    for offset, weight in enumerate(weights, start=at - len(weights) // 2):
        one = np.asarray(slices[min(max(offset, 0), last)], np.float64)
        mean += weight * np.clip(one, HU_MIN, HU_MAX)
    # Through float32: 1/6 is not exact in binary, and half a HU would be rounded by the error in its last digit.
    return np.rint(mean.astype(np.float32)).astype(np.int16)


def _checked(volume: Volume, factor: int, profile: str) -> int:
    if profile not in PROFILES:
        raise SynthesisError("bad-option", f"The profile is one of {', '.join(PROFILES)}, not {profile!r}.")
    count = volume.grid.slice_count
    if count <= factor:
        message = f"Keeping every {factor}th of {count} slices leaves fewer than two"
        raise SynthesisError("bad-option", f"{message}; give a factor of at most {count - 1}.")
    return factor
