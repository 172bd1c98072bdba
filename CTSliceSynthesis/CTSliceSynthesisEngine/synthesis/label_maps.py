"""Label maps carried to a finer grid: shapes are interpolated, not voxels (Raya and Udupa, IEEE TMI 9, 1990). Torch-free.

In each acquired slice a label has a signed distance, in mm: how far within its outline a pixel lies, or, below 0, how far
outside. Between two slices the distances go over into each other, and a voxel belongs to the label that it lies deeper in.
Where the label changes from `a` to `b` it does so once, at a place that follows from the distances in both slices:

    distance to a    3 \\                   to a minus to b goes from 3 + 2 to -1 - 1:
                   below  \\   above         it passes 0 at 5 / 7 of the way
    distance to b   -2 - - - -> 1

All labels compete alike, and so does what has none (0): borders that two labels share stay shared, without gap or overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from ..volume.grid import Grid
from ..volume.volume import Volume
from . import views
from .places import Places

_TIE = 1e-6  # of a gap; a voxel at such a border takes the larger number, whichever slice is above


def carried(labels: Volume, factor: float, progress: Callable[[int, int], None] = lambda done, total: None) -> Volume:
    """A label map on its grid with slices `factor` times closer, whole or not; acquired slices stay bit for bit.

    Args:
        labels: whole numbers, in any type; at least two slices.
        factor: as a plan has it.
        progress: told (gaps done, gaps in all).
    """
    slices, grid = views.slices_first(labels.voxels, labels.grid), labels.grid.brought_to(factor)
    places = Places(len(slices), factor)
    fine = np.empty((places.count, *slices.shape[1:]), slices.dtype)
    for number, source in places.acquired:
        fine[number] = slices[source]
    for gap in range(len(slices) - 1):
        progress(gap, len(slices) - 1)
        below, above = slices[gap], slices[gap + 1]
        turn, either = turning(below, above, labels.grid), np.maximum(below, above)
        for image, position in zip(fine[places.new(gap)], places.positions(gap), strict=True):
            image[...] = np.where(np.abs(turn - position) < _TIE, either, np.where(position < turn, below, above))
    progress(len(slices) - 1, len(slices) - 1)
    return Volume(views.file_order(fine, grid), grid, labels.warnings)


def turning(below: np.ndarray, above: np.ndarray, grid: Grid) -> np.ndarray:
    """How far from one slice to the next the first one's label reaches, (H, W) float32 from 0 to 1; 1 where both are alike.

    Args:
        below, above: (H, W) labels of two neighbouring slices.
        grid: of the label map.
    """
    turn = np.ones(below.shape, np.float32)
    changes = below != above
    lead = np.zeros((2, *below.shape), np.float32)  # of the label below over the label above, in both slices
    for label in np.union1d(below[changes], above[changes]):
        rows, columns = box = _around((below == label) | (above == label))
        inside = np.stack([below[box] == label, above[box] == label])
        depth = _depths(inside, grid)
        for sign, own in zip((1, -1), inside, strict=True):
            lead[:, rows, columns] += sign * np.where(own, depth, 0)
    first, second = lead[:, changes]
    turn[changes] = first / (first - second)
    return turn


def _depths(inside: np.ndarray, grid: Grid) -> np.ndarray:
    """Signed distances in mm of the pixels of two slices (2, h, w) to the outline of a label, above 0 within.

    None is larger than that to the next slice: there a label that is in one slice alone ends, half way at its middle.
    """
    pixels, most = views.row_column_spacing(grid), grid.slice_distance
    return np.stack([np.clip(_depth(one, pixels), -most, most) for one in inside])


def _depth(inside: np.ndarray, pixels: Sequence[float]) -> np.ndarray:
    """The same of one slice; infinite where nothing, or everything, is inside."""
    if inside.all() or not inside.any():
        return np.where(inside, math.inf, -math.inf)
    half = min(pixels) / 2  # the outline runs between the pixels, half of one from the middle of the nearest
    within, without = (ndimage.distance_transform_edt(part, pixels) for part in (inside, ~inside))
    return np.where(inside, within - half, half - without)


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold a mask, and one more on each side, where there is one."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
