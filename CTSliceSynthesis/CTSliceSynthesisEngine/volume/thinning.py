"""What makes slices thick: the one model of it, used to train and to test."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import SynthesisError
from .grid import whole_factor
from .intensity import HU_MAX, HU_MIN
from .volume import Volume

PROFILES = ("gap", "slab", "bell")
"""gap: thin slices far apart (some were not stored); slab: thick slices that touch (each averages over its spacing); bell: the
same with soft edges, as scanners make them (a Gaussian as wide at half its height as the spacing)."""

_WIDTH = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian at half its height, over its standard deviation
_BELL_REACH = 1.5  # widths from its centre that a bell is cut off at: beyond lie 0.04 % of it


def thin_out(volume: Volume, factor: int, profile: str) -> Volume:
    """Keep every `factor`-th slice, as a scan with larger slice spacing would have it.

    Args:
        volume: the thin scan; only the longest run of slices that starts and ends on a kept slice counts.
        factor: thin slices per thick one, at least 1.
        profile: "gap" drops slices (the thickness stays); "slab" averages over `factor` spacings centred on each kept
            slice (the thickness becomes the new spacing), the first and last slice standing in for what lies outside;
            "bell" does so with soft edges.

    Returns:
        The thick scan on `volume.grid.coarsened(factor)`: int16, rounded, clipped to [HU_MIN, HU_MAX].

    Raises:
        SynthesisError: "bad-option" for an unknown profile, or a factor that leaves fewer than two slices.
    """
    factor = _checked(volume, whole_factor(factor), profile)
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
    grid = volume.grid.coarsened(factor)
    weights = np.ones(1)
    if profile != "gap":
        weights = profile_weights(factor, bell=float(profile == "bell"))
        grid = replace(grid, thickness=grid.slice_spacing)
    last = (grid.slice_count - 1) * factor
    thick = np.stack([_weighted(slices, at, weights, last) for at in range(0, last + 1, factor)])
    return replace(volume, voxels=np.moveaxis(thick, 0, volume.slice_array_axis), grid=grid)


def profile_weights(width: float, bell: float = 0.0) -> np.ndarray:
    """Weights, summing to 1, of the thin slices in a thick one that is centred on one of them.

    width 3:    |1 1 1|      width 4:  |½ 1 1 1 ½|
                   ^ centre                ^ an even slab ends inside slices, and takes half of each

    Args:
        width: of the profile at half its height, in thin slices, at least 1.
        bell: 0 for a box, 1 for a Gaussian, between for their mix.

    Returns:
        (2 n + 1,) with the centre in the middle.
    """
    reach = math.ceil(_BELL_REACH * width if bell else (width - 1) / 2)
    edges = np.arange(2 * reach + 2) - reach - 0.5
    box = np.diff(np.clip(edges, -width / 2, width / 2)) / width
    if not bell:
        return box
    rises = np.array([math.erf(edge * _WIDTH / width / math.sqrt(2)) for edge in edges])
    gaussian = np.diff(rises) / (rises[-1] - rises[0])
    return (1 - bell) * box + bell * gaussian


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
