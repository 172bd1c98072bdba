"""Where a result is worst: the place to look at before it is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volume.volume import Volume
from .body_mask import body_mask
from .metrics import slices_first, synthesized

NEIGHBOURHOOD_MM = 8.0
"""Side of the square that errors are averaged over: smaller than what one looks for, larger than noise."""


@dataclass(frozen=True)
class Place:
    """A point in the patient.

    Attributes:
        ras: mm, on the scan's own grid.
        error_hu: mean absolute error around it.
        slice_number: of the slice that was left out, from 0 on.
    """

    ras: tuple[float, float, float]
    error_hu: float
    slice_number: int


def worst_place(truth: Volume, result: Volume, factor: int) -> Place:
    """The point in the body where the mean absolute error over a small square of a synthesized slice is largest.

    Args:
        truth: the thin scan.
        result: what was made of every `factor`-th slice of it, on the same grid.
        factor: slices per acquired slice.
    """
    grid = truth.grid
    true, found = slices_first(truth), slices_first(result)
    body = body_mask(true)
    # slices_first gives (slice, second, first in-plane axis): arrays count (k, j, i).
    sides = [max(1, round(NEIGHBOURHOOD_MM / spacing)) for spacing in reversed(grid.pixel_spacing)]
    worst, at = -1.0, (0, 0, 0)
    for number in synthesized(len(true), factor):
        error = np.abs(found[number] - true[number]) * body[number]
        mean = ndimage.uniform_filter(error, sides, mode="constant")
        row, column = np.unravel_index(int(mean.argmax()), mean.shape)
        if mean[row, column] > worst:
            worst, at = float(mean[row, column]), (int(number), int(row), int(column))
    first, second = grid.in_plane_axes
    index = [0, 0, 0]
    index[grid.slice_axis], index[second], index[first] = at
    right, anterior, superior = (float(mm) for mm in grid.ras(index))
    return Place((right, anterior, superior), worst, at[0])
