"""Choice of a reformat plane for the comparison picture, in radiological orientation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import ndimage

from ..volume.grid import Grid
from ..volume.intensity import HU_MIN
from ..volume.volume import Volume
from .body_mask import body_mask
from .metrics import slices_first

_WINDOW_PERCENT = (1, 99)  # of the HU inside the body, to show lung vessels as well as organs next to dense bone
_WINDOW_STEP = 50

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in mm from the upper left corner of the field of view."""


@dataclass(frozen=True)
class Reformat:
    """A plane containing the slice axis, and its orientation in the picture.

    Attributes:
        name: "coronal" or "sagittal".
        left: letter of the patient's side shown on the left.
        across, up, normal: index axes (0, 1, 2 for i, j, k) across the picture, along its height, and through it.
        flip_across, flip_up: whether that index increases leftward, or upward.
        plane: index of the plane along `normal`.
    """

    name: str
    left: str
    across: int
    up: int
    normal: int
    flip_across: bool
    flip_up: bool
    plane: int

    def cut(self, voxels: np.ndarray) -> np.ndarray:
        """Extract the plane from voxels (k, j, i): (rows from the top, columns from the left)."""
        image: np.ndarray = np.take(voxels, self.plane, axis=2 - self.normal)
        if self.up < self.across:  # the remaining axes keep the order (k, j, i), so that the higher axis comes first
            image = image.T
        return image[:: -1 if self.flip_up else 1, :: -1 if self.flip_across else 1]

    def spacing(self, grid: Grid) -> tuple[float, float]:
        """Return the pixel size (across, up) in mm."""
        return grid.spacing[self.across], grid.spacing[self.up]

    def size(self, grid: Grid) -> tuple[float, float]:
        """Return the size of the picture (across, up) in mm."""
        return grid.size[self.across] * grid.spacing[self.across], grid.size[self.up] * grid.spacing[self.up]


def orientation(grid: Grid, plane: int = 0) -> Reformat:
    """Return the reformat for a stack: superior up, and the patient's right on the left.

    Axial and sagittal stacks get a coronal reformat. Coronal stacks get a sagittal one, anterior on the left, because a
    coronal plane would not contain the slice axis.
    """
    directions = grid.directions

    def fit(axes: tuple[int, ...]) -> float:
        return float(sum(abs(directions[patient, axis]) for patient, axis in enumerate(axes)))

    right, front, up = max(permutations(range(3)), key=fit)
    coronal = grid.slice_axis != front
    across, normal = (right, front) if coronal else (front, right)
    towards_left = directions[0 if coronal else 1, across] > 0  # R or A, which belongs on the left
    return Reformat(
        "coronal" if coronal else "sagittal",
        "R" if coronal else "A",
        across,
        up,
        normal,
        bool(towards_left),
        bool(directions[2, up] > 0),
        plane,
    )


@dataclass(frozen=True)
class Scene:
    """The part of a thick scan that a picture shows. Chosen from the thick scan only, to favor no method.

    Attributes:
        reformat: the plane, in the middle half of the body, on which neighboring slices differ most.
        window: (black, white) in HU, from the values inside the body.
        detail: the box where neighboring slices differ most.
    """

    reformat: Reformat
    window: tuple[float, float]
    detail: Box


def scene(thick: Volume, fine: Grid, share: float, aspect: float) -> Scene:
    """Choose the plane, the window and the detail to show.

    Args:
        thick: the acquired slices.
        fine: grid of the result, which defines the field of view.
        share: width of the detail over the width of the picture.
        aspect: height of the detail over its width.
    """
    axis = thick.slice_array_axis
    slices = slices_first(thick)
    mask = body_mask(slices)
    window = _window(slices[mask])
    windowed = np.clip(slices, *window)  # so that contrast medium or metal does not determine the detail
    change, body = (np.moveaxis(stack, 0, axis) for stack in (np.abs(np.gradient(windowed, axis=0)) * mask, mask))
    normal = orientation(thick.grid).normal
    reformat = orientation(thick.grid, _busiest_plane(change, body, 2 - normal))
    return Scene(reformat, window, _busiest_box(reformat.cut(change), reformat, thick.grid, fine, share, aspect))


def _window(values: np.ndarray) -> tuple[float, float]:
    """Return black and white in round HU for the values inside the body."""
    low, high = np.percentile(values, _WINDOW_PERCENT)
    black = max(HU_MIN, np.floor(low / _WINDOW_STEP) * _WINDOW_STEP)
    white = np.ceil(high / _WINDOW_STEP) * _WINDOW_STEP
    return float(black), float(max(white, black + _WINDOW_STEP))


def _busiest_plane(change: np.ndarray, body: np.ndarray, axis: int) -> int:
    """Return the index along `axis` of the plane with most change, within the middle half of the body."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero(body.any(axis=others))
    quarter = filled.size // 4
    middle = filled[quarter : filled.size - quarter]
    return int(middle[change.sum(axis=others)[middle].argmax()])


def _busiest_box(change: np.ndarray, reformat: Reformat, thick: Grid, fine: Grid, share: float, aspect: float) -> Box:
    """Return the box with the largest mean change, entirely inside the field of view.

    The outer thick slices extend beyond it by `margin`, half the difference of the spacings, at either end.
    """
    field, whole, pixel = reformat.size(fine), reformat.size(thick), reformat.spacing(thick)
    box = min(share * field[0], field[1] / aspect), min(share * field[0] * aspect, field[1])
    count = [min(n, max(1, round(box[axis] / pixel[axis]))) for n, axis in zip(change.shape, (1, 0), strict=True)]
    mean = ndimage.uniform_filter(change, count, mode="constant")
    inside = tuple(slice(few // 2, n - (few - 1) // 2) for few, n in zip(count, change.shape, strict=True))
    row, column = np.unravel_index(mean[inside].argmax(), mean[inside].shape)
    margin = [(long - short) / 2 for long, short in zip(whole, field, strict=True)]
    left = float(np.clip(column * pixel[0] - margin[0], 0, field[0] - box[0]))
    top = float(np.clip(row * pixel[1] - margin[1], 0, field[1] - box[1]))
    return left, top, left + box[0], top + box[1]
