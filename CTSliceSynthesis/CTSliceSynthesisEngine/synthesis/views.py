"""The three views of a stack of slices. The one file of this room that permutes axes; each way out has its way back.

    file array (k, j, i)  <->  slices first (D, H, W): D along the slice axis, H rows and W columns of a slice

    view      sees            as planes of
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
"""Order of the views wherever they lie along an axis."""


def slices_first(voxels: np.ndarray, grid: Grid) -> np.ndarray:
    """View of (k, j, i) voxels as (D, H, W)."""
    return np.moveaxis(voxels, 2 - grid.slice_axis, 0)


def file_order(slices: np.ndarray, grid: Grid) -> np.ndarray:
    """The inverse of `slices_first`."""
    return np.moveaxis(slices, 0, 2 - grid.slice_axis)


def row_column_spacing(grid: Grid) -> tuple[float, float]:
    """Distance in mm between neighbouring rows, and between neighbouring columns, of `slices_first`."""
    lower, higher = grid.pixel_spacing  # arrays count axes the other way round, so the lower one runs along columns
    return higher, lower


def exchanged(images: Tensor) -> Tensor:
    """Rows and columns exchanged, (..., H, W) -> (..., W, H): the sagittal view seen as the coronal one. Its own inverse."""
    return images.transpose(-1, -2)


def coronal_planes(slices: Tensor) -> Tensor:
    """(D, H, W) -> (H, 1, W, D): a reformatted plane for every row."""
    return slices.permute(1, 2, 0)[:, None]


def from_coronal_planes(planes: Tensor) -> Tensor:
    """New columns of coronal planes, (H, P, W, G), as P new slices in each of G gaps: (G, P, H, W)."""
    return planes.permute(3, 1, 0, 2)
