"""Body mask, which excludes the air around the patient from the metrics."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

SURFACE_HU = -500
"""Halfway between air and soft tissue: includes everything within the skin except the lungs, which the hull adds."""


def body_mask(slices: np.ndarray) -> np.ndarray:
    """Return the mask of the patient: in each slice, the convex hull of the largest region above -500 HU.

    Args:
        slices: (D, H, W) HU, slice axis first.

    Returns:
        (D, H, W) bool; True everywhere if nothing is above -500 HU.
    """
    labels, count = ndimage.label(slices > SURFACE_HU)
    if not count:
        return np.ones(slices.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = sizes.argmax()
    return np.stack([convex_hull(plane == largest) for plane in labels])


def convex_hull(plane: np.ndarray) -> np.ndarray:
    """Return the pixels whose center is in the convex hull of the true pixels: (H, W) bool -> (H, W) bool.

    A pixel is represented by the diamond through the midpoints of its four sides. Doubled coordinates are integers, so
    that rounding does not affect points on the border (which count as inside).
    """
    inside = np.zeros(plane.shape, bool)
    filled = np.flatnonzero(plane.any(axis=1))
    if not filled.size:
        return inside
    last = plane.shape[1] - 1
    ends = np.concatenate([plane[filled].argmax(axis=1), last - plane[filled, ::-1].argmax(axis=1)])
    centers = 2 * np.stack([np.tile(filled, 2), ends], axis=1)
    corners = np.concatenate([centers + step for step in ((-1, 0), (1, 0), (0, -1), (0, 1))])
    rows = np.arange(filled[0], filled[-1] + 1)
    left, right = _columns_inside(corners[ConvexHull(corners).vertices], rows)
    column = np.arange(plane.shape[1])
    inside[rows] = (column >= left[:, None]) & (column <= right[:, None])
    return inside


def _columns_inside(corners: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last column inside a convex polygon, for each row.

    Args:
        corners: (n, 2) doubled (row, column), counter-clockwise.
        rows: (m,) rows that the polygon crosses.

    Inside the edge from (r, c) along (dr, dc) is where dr (2 column - c) >= dc (2 row - r): an edge with dr > 0 bounds
    the columns from the left, one with dr < 0 from the right.
    """
    r, c = corners[:, :1], corners[:, 1:]
    dr, dc = np.roll(r, -1) - r, np.roll(c, -1) - c
    bound = dr * c + dc * (2 * rows - r)
    leftward, rightward = dr[:, 0] > 0, dr[:, 0] < 0
    left = -(-bound[leftward] // (2 * dr[leftward]))
    right = bound[rightward] // (2 * dr[rightward])
    return left.max(axis=0), right.min(axis=0)
