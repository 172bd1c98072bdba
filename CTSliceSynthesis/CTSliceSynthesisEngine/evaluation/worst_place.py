"""Location of the largest error of a result, to be inspected before trusting it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volume.volume import Volume
from .body_mask import body_mask
from .metrics import slices_first, synthesized

NEIGHBORHOOD_MM = 8.0
"""Width of the square over which errors are averaged: smaller than typical findings, larger than noise."""


@dataclass(frozen=True)
class Place:
    """A point in patient space.

    Attributes:
        ras: mm, on the scan's grid.
        error_hu: mean absolute error around it.
        slice_number: of the held-out slice, counting from 0.
    """

    ras: tuple[float, float, float]
    error_hu: float
    slice_number: int


def worst_place(truth: Volume, result: Volume, factor: int) -> Place:
    """Return the point in the body with the largest mean absolute error over a small square of a synthesized slice.

    Args:
        truth: the thin scan.
        result: synthesized from every `factor`-th slice, on the same grid.
        factor: slices per acquired slice.
    """
    grid = truth.grid
    true_slices, result_slices = slices_first(truth), slices_first(result)
    body = body_mask(true_slices)
    # slices_first returns (slice, second, first in-plane axis): arrays are indexed (k, j, i).
    sides = [max(1, round(NEIGHBORHOOD_MM / spacing)) for spacing in reversed(grid.pixel_spacing)]
    worst, at = -1.0, (0, 0, 0)
    for number in synthesized(len(true_slices), factor):
        error = np.abs(result_slices[number] - true_slices[number]) * body[number]
        mean = ndimage.uniform_filter(error, sides, mode="constant")
        row, column = np.unravel_index(int(mean.argmax()), mean.shape)
        if mean[row, column] > worst:
            worst, at = float(mean[row, column]), (int(number), int(row), int(column))
    first, second = grid.in_plane_axes
    index = [0, 0, 0]
    index[grid.slice_axis], index[second], index[first] = at
    right, anterior, superior = (float(mm) for mm in grid.ras(index))
    return Place((right, anterior, superior), worst, at[0])
