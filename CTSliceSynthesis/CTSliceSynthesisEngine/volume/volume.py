"""A CT volume: voxels and where they lie."""

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
        grid: where they lie.
        warnings: sentences the user should see; the volume is usable all the same.

    Raises:
        SynthesisError: "bad-input" if the voxels do not fill the grid.
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
        """The axis of `voxels` along which the slices run: arrays count (k, j, i), grids (i, j, k)."""
        return 2 - self.grid.slice_axis
