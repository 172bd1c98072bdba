"""The three views of a stack of slices. All axis permutations of this package are here, each with its inverse.

    file array (k, j, i)  <->  slices first (D, H, W): D along the slice axis, H rows and W columns of a slice

    view      plane           one image is
    axial     H x W           one slice
    coronal   W x D           one row of every slice
    sagittal  H x D           one column of every slice

The names are those of an axial scan; in a coronal stack the "axial" view is still the acquired plane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volume.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

VIEWS = ("axial", "coronal", "sagittal")
"""Order of the views along array axes."""


def slices_first(voxels: np.ndarray, grid: Grid) -> np.ndarray:
    """Return a view of (k, j, i) voxels as (D, H, W)."""
    return np.moveaxis(voxels, 2 - grid.slice_axis, 0)


def file_order(slices: np.ndarray, grid: Grid) -> np.ndarray:
    """Invert `slices_first`."""
    return np.moveaxis(slices, 0, 2 - grid.slice_axis)


def row_column_spacing(grid: Grid) -> tuple[float, float]:
    """Return the distance in mm between neighboring rows, and between neighboring columns, of `slices_first`."""
    lower, higher = grid.pixel_spacing  # array axes are in reverse order, so the lower one runs along columns
    return higher, lower


def swap_rows_columns(images: Tensor) -> Tensor:
    """Swap rows and columns, (..., H, W) -> (..., W, H): turn the sagittal view into the coronal one. Its own inverse."""
    return images.transpose(-1, -2)


def coronal_planes(slices: Tensor) -> Tensor:
    """Return a reformatted plane for every row: (D, H, W) -> (H, 1, W, D)."""
    return slices.permute(1, 2, 0)[:, None]


def from_coronal_planes(planes: Tensor) -> Tensor:
    """Convert new columns of coronal planes (H, P, W, G) to P new slices in each of G gaps (G, P, H, W)."""
    return planes.permute(3, 1, 0, 2)
