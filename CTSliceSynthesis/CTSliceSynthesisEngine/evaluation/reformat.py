"""The plane across the slices that shows best what lies between them, turned as a radiologist expects it."""

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

_WINDOW_PERCENT = (1, 99)  # of the HU inside the body: vessels show in the lung, and organs beside dense bone
_WINDOW_STEP = 50

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in mm from the upper left corner of the field of view."""


@dataclass(frozen=True)
class Reformat:
    """A plane that holds the slice axis, and how it is turned.

    Attributes:
        name: "coronal" or "sagittal".
        left: letter of the patient's side on the left of the picture.
        across, up, normal: index axes (0, 1, 2 for i, j, k) across the picture, along its height, and through it.
        flip_across, flip_up: whether that index runs leftwards, or upwards.
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
        """Voxels (k, j, i) on the plane: (rows from the top, columns from the left)."""
        image: np.ndarray = np.take(voxels, self.plane, axis=2 - self.normal)
        if self.up < self.across:  # what is left keeps the order of (k, j, i), so that the higher axis comes first
            image = image.T
        return image[:: -1 if self.flip_up else 1, :: -1 if self.flip_across else 1]

    def spacing(self, grid: Grid) -> tuple[float, float]:
        """Size of a pixel (across, up) in mm."""
        return grid.spacing[self.across], grid.spacing[self.up]

    def size(self, grid: Grid) -> tuple[float, float]:
        """Size of the picture (across, up) in mm."""
        return grid.size[self.across] * grid.spacing[self.across], grid.size[self.up] * grid.spacing[self.up]


def orientation(grid: Grid, plane: int = 0) -> Reformat:
    """The reformat for a stack: superior up, and the patient's right on the left.

    Axial and sagittal stacks are cut coronally. Coronal stacks are cut sagittally, front on the left, as a coronal
    plane would not hold the slice axis.
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
    """What a picture shows of a thick scan. Chosen from the thick scan alone, which favours no method.

    Attributes:
        reformat: the plane, in the middle half of the body, on which neighbouring slices differ most.
        window: (black, white) in HU, from the values inside the body.
        detail: where neighbouring slices differ most.
    """

    reformat: Reformat
    window: tuple[float, float]
    detail: Box


def scene(thick: Volume, fine: Grid, share: float, aspect: float) -> Scene:
    """Choose what to show.

    Args:
        thick: the acquired slices.
        fine: the grid of what was made of them, which sets the field of view.
        share: width of the detail over the width of the picture.
        aspect: height of the detail over its width.
    """
    axis = thick.slice_array_axis
    slices = slices_first(thick)
    mask = body_mask(slices)
    window = _window(slices[mask])
    seen = np.clip(slices, *window)  # a jet of contrast medium or metal is not the detail that is looked for
    change, body = (np.moveaxis(stack, 0, axis) for stack in (np.abs(np.gradient(seen, axis=0)) * mask, mask))
    normal = orientation(thick.grid).normal
    reformat = orientation(thick.grid, _busiest_plane(change, body, 2 - normal))
    return Scene(reformat, window, _busiest_box(reformat.cut(change), reformat, thick.grid, fine, share, aspect))


def _window(values: np.ndarray) -> tuple[float, float]:
    """Black and white in round HU for the values inside the body."""
    low, high = np.percentile(values, _WINDOW_PERCENT)
    black = max(HU_MIN, np.floor(low / _WINDOW_STEP) * _WINDOW_STEP)
    white = np.ceil(high / _WINDOW_STEP) * _WINDOW_STEP
    return float(black), float(max(white, black + _WINDOW_STEP))


def _busiest_plane(change: np.ndarray, body: np.ndarray, axis: int) -> int:
    """Index along `axis` of the plane with most change, within the middle half of the body."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero(body.any(axis=others))
    quarter = filled.size // 4
    middle = filled[quarter : filled.size - quarter]
    return int(middle[change.sum(axis=others)[middle].argmax()])


def _busiest_box(change: np.ndarray, reformat: Reformat, thick: Grid, fine: Grid, share: float, aspect: float) -> Box:
    """The box with the largest mean change, wholly inside the field of view.

    The outer thick slices reach beyond it by `over`, half the difference of the spacings at either end.
    """
    field, whole, pixel = reformat.size(fine), reformat.size(thick), reformat.spacing(thick)
    box = min(share * field[0], field[1] / aspect), min(share * field[0] * aspect, field[1])
    count = [min(n, max(1, round(box[axis] / pixel[axis]))) for n, axis in zip(change.shape, (1, 0), strict=True)]
    mean = ndimage.uniform_filter(change, count, mode="constant")
    inside = tuple(slice(few // 2, n - (few - 1) // 2) for few, n in zip(count, change.shape, strict=True))
    row, column = np.unravel_index(mean[inside].argmax(), mean[inside].shape)
    over = [(long - short) / 2 for long, short in zip(whole, field, strict=True)]
    left = float(np.clip(column * pixel[0] - over[0], 0, field[0] - box[0]))
    top = float(np.clip(row * pixel[1] - over[1], 0, field[1] - box[1]))
    return left, top, left + box[0], top + box[1]
