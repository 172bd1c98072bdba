"""Simulation of thick slices, used for both training and evaluation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import SynthesisError
from .grid import whole_factor
from .intensity import HU_MAX, HU_MIN
from .volume import Volume

PROFILES = ("gap", "slab", "bell")
"""gap: thin slices with gaps (some were not stored); slab: contiguous thick slices (each averages over its spacing); bell:
the same with soft edges, as in real scanners (a Gaussian with a full width at half maximum of one spacing)."""

_WIDTH = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum of a Gaussian over its standard deviation
_BELL_REACH = 1.5  # widths from the center at which a bell is truncated; 0.04 % of it lies beyond


def thin_out(volume: Volume, factor: int, profile: str) -> Volume:
    """Keep every `factor`-th slice, simulating a scan with larger slice spacing.

    Args:
        volume: the thin scan; only the longest run of slices that starts and ends on a kept slice is used.
        factor: thin slices per thick one, at least 1.
        profile: "gap" drops slices (the thickness stays); "slab" averages over `factor` spacings centered on each kept
            slice (the thickness becomes the new spacing), replicating the first and last slice at the ends; "bell" is
            like "slab" with soft edges.

    Returns:
        The thick scan on `volume.grid.coarsened(factor)`: int16, rounded, clipped to [HU_MIN, HU_MAX].

    Raises:
        SynthesisError: "bad-option" for an unknown profile, or a factor that leaves fewer than two slices.
    """
    factor = _check(volume, whole_factor(factor), profile)
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
    grid = volume.grid.coarsened(factor)
    weights = np.ones(1)
    if profile != "gap":
        weights = profile_weights(factor, bell=float(profile == "bell"))
        grid = replace(grid, thickness=grid.slice_spacing)
    last = (grid.slice_count - 1) * factor
    thick = np.stack([_weighted_mean(slices, at, weights, last) for at in range(0, last + 1, factor)])
    return replace(volume, voxels=np.moveaxis(thick, 0, volume.slice_array_axis), grid=grid)


def profile_weights(width: float, bell: float = 0.0) -> np.ndarray:
    """Return the weights, summing to 1, of the thin slices in a thick slice centered on one of them.

    width 3:    |1 1 1|      width 4:  |½ 1 1 1 ½|
                   ^ center                ^ a slab of even width ends inside slices, with weight 1/2

    Args:
        width: full width at half maximum, in thin slices, at least 1.
        bell: 0 for a box, 1 for a Gaussian, values between for a mix.

    Returns:
        (2 n + 1,) with the center in the middle.
    """
    reach = math.ceil(_BELL_REACH * width if bell else (width - 1) / 2)
    edges = np.arange(2 * reach + 2) - reach - 0.5
    box = np.diff(np.clip(edges, -width / 2, width / 2)) / width
    if not bell:
        return box
    rises = np.array([math.erf(edge * _WIDTH / width / math.sqrt(2)) for edge in edges])
    gaussian = np.diff(rises) / (rises[-1] - rises[0])
    return (1 - bell) * box + bell * gaussian


def _weighted_mean(slices: np.ndarray, at: int, weights: np.ndarray, last: int) -> np.ndarray:
    """Return the weighted mean, int16, of the slices (n, ..) around `at`, replicating slices 0 and `last`."""
    mean = np.zeros(slices.shape[1:])
    for offset, weight in enumerate(weights, start=at - len(weights) // 2):
        image = np.asarray(slices[min(max(offset, 0), last)], np.float64)
        mean += weight * np.clip(image, HU_MIN, HU_MAX)
    # Via float32: 1/6 is not exact in binary, and the rounding of half a HU would depend on the error in the last digit.
    return np.rint(mean.astype(np.float32)).astype(np.int16)


def _check(volume: Volume, factor: int, profile: str) -> int:
    if profile not in PROFILES:
        raise SynthesisError("bad-option", f"The profile is one of {', '.join(PROFILES)}, not {profile!r}.")
    count = volume.grid.slice_count
    if count <= factor:
        message = f"Keeping every {factor}th of {count} slices leaves fewer than two"
        raise SynthesisError("bad-option", f"{message}; give a factor of at most {count - 1}.")
    return factor
