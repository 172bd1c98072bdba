"""A CT volume: voxels and their grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SynthesisError
from .grid import Grid


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a grid.

    Attributes:
        voxels: HU in any integer or floating type, indexed (k, j, i).
        grid: in patient space.
        warnings: messages for the user; the volume is usable nevertheless.

    Raises:
        SynthesisError: "bad-input" if the shape does not match the grid.
    """

    voxels: np.ndarray
    grid: Grid
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.size[::-1]:
            message = f"Voxels of shape {self.voxels.shape} do not fill a grid of {self.grid.size[::-1]} (k, j, i)"
            raise SynthesisError("bad-input", f"{message}; give both the same size.")

    @property
    def slice_array_axis(self) -> int:
        """The slice axis of `voxels`: arrays are indexed (k, j, i), grids (i, j, k)."""
        return 2 - self.grid.slice_axis
