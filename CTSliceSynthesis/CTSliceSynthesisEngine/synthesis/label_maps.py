"""Shape-based interpolation of label maps (Raya and Udupa, IEEE TMI 9, 1990). Does not import PyTorch.

In each acquired slice, a label has a signed distance map in mm: positive inside its outline, negative outside. Between two
slices the distances are interpolated linearly, and a voxel gets the label with the largest distance. A change of label from
`a` to `b` happens once, at a position that follows from the distances in both slices:

    distance to a    3 \\                   distance to a minus distance to b goes from 3 + 2 to -1 - 1:
                   below  \\   above         it crosses 0 at 5 / 7 of the gap
    distance to b   -2 - - - -> 1

All labels including the background (0) are treated alike: common borders of two labels stay common, without gap or overlap.
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

_TIE = 1e-6  # of a gap; a voxel this close to a transition gets the larger label, independent of the slice order


def upsample_labels(
    labels: Volume, factor: float, progress: Callable[[int, int], None] = lambda done, total: None
) -> Volume:
    """Interpolate a label map to slices `factor` times closer; acquired slices are copied unchanged.

    Args:
        labels: integers, in any data type; at least two slices.
        factor: as in a plan, integer or fractional.
        progress: called with (gaps done, total gaps).
    """
    slices, grid = views.slices_first(labels.voxels, labels.grid), labels.grid.upsampled(factor)
    places = Places(len(slices), factor)
    fine = np.empty((places.count, *slices.shape[1:]), slices.dtype)
    for number, source in places.acquired:
        fine[number] = slices[source]
    for gap in range(len(slices) - 1):
        progress(gap, len(slices) - 1)
        below, above = slices[gap], slices[gap + 1]
        transition, at_tie = transition_positions(below, above, labels.grid), np.maximum(below, above)
        for image, position in zip(fine[places.new(gap)], places.positions(gap), strict=True):
            nearer = np.where(position < transition, below, above)
            image[...] = np.where(np.abs(transition - position) < _TIE, at_tie, nearer)
    progress(len(slices) - 1, len(slices) - 1)
    return Volume(views.file_order(fine, grid), grid, labels.warnings)


def transition_positions(below: np.ndarray, above: np.ndarray, grid: Grid) -> np.ndarray:
    """Return where in the gap the label changes, (H, W) float32 from 0 to 1; 1 where both slices have the same label.

    Args:
        below, above: (H, W) labels of two neighboring slices.
        grid: of the label map.
    """
    transition = np.ones(below.shape, np.float32)
    changed = below != above
    # Distance to the outline of the label below minus that of the label above, in both slices.
    lead = np.zeros((2, *below.shape), np.float32)
    for label in np.union1d(below[changed], above[changed]):
        rows, columns = box = _bounding_box((below == label) | (above == label))
        inside = np.stack([below[box] == label, above[box] == label])
        distances = _signed_distances(inside, grid)
        for sign, mask in zip((1, -1), inside, strict=True):
            lead[:, rows, columns] += sign * np.where(mask, distances, 0)
    first, second = lead[:, changed]
    transition[changed] = first / (first - second)
    return transition


def _signed_distances(inside: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the signed distances in mm to the outline of a label in two slices (2, h, w), positive inside.

    They are limited to the distance of the next slice, so that a label in one slice only ends half way at its center.
    """
    pixels, limit = views.row_column_spacing(grid), grid.slice_distance
    return np.stack([np.clip(_signed_distance(one, pixels), -limit, limit) for one in inside])


def _signed_distance(inside: np.ndarray, pixels: Sequence[float]) -> np.ndarray:
    """Return the signed distances in one slice; infinite if the mask is empty or full."""
    if inside.all() or not inside.any():
        return np.where(inside, math.inf, -math.inf)
    half = min(pixels) / 2  # the outline runs between pixels, half a pixel from the nearest center
    interior, outside = (ndimage.distance_transform_edt(part, pixels) for part in (inside, ~inside))
    return np.where(inside, interior - half, half - outside)


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a mask's bounding box, extended by one pixel on each side within the image."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
