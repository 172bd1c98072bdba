"""Training scan, in memory or memory-mapped from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...volume.grid import Grid
from ...volume.volume import Volume

MIN_SLICES = 8
MIN_PIXELS = 96  # the widest crop


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One training scan.

    Attributes:
        name: name in reports and model cards.
        stored: (D, H, W) int16 HU, slice axis first; or a function that returns them, for scans that stay on disk.
        slice_spacing, pixel_spacing, thickness: mm.
        stored_half: as `stored`, with pixels of twice the size; None: computed in memory from `stored`.
    """

    name: str
    stored: np.ndarray | Callable[[], np.ndarray]
    slice_spacing: float
    pixel_spacing: float
    thickness: float
    stored_half: Callable[[], np.ndarray] | None = None

    @property
    def voxels(self) -> np.ndarray:
        """(D, H, W) int16 HU, slice axis first."""
        return self.stored() if callable(self.stored) else self.stored

    @property
    def can_be_halved(self) -> bool:
        """True if the copy with larger pixels is large enough for a crop."""
        return min(self.voxels.shape[1:]) >= 2 * MIN_PIXELS

    @cached_property
    def half(self) -> TrainingScan:
        """The same scan with pixels of twice the size (means of 2 x 2), as data augmentation."""
        stored = self.stored_half or halved(self.voxels)
        return TrainingScan(f"{self.name} (half)", stored, self.slice_spacing, 2 * self.pixel_spacing, self.thickness)

    def slices(self, first: int, last: int) -> TrainingScan:
        """Return the slices first ... last - 1 as a separate scan."""

        def part(opened: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
            return lambda: opened()[first:last]

        half = part(self.stored_half) if self.stored_half else None
        part_of = part(lambda: self.voxels)
        return TrainingScan(self.name, part_of, self.slice_spacing, self.pixel_spacing, self.thickness, half)

    def volume(self, window: tuple[slice, slice, slice] = (slice(None),) * 3) -> Volume:
        """Return the scan, or a window of it (slices, rows, columns), as a volume with square pixels."""
        voxels = np.ascontiguousarray(self.voxels[window])
        size = voxels.shape[2], voxels.shape[1], voxels.shape[0]
        matrix = np.diag([self.pixel_spacing, self.pixel_spacing, self.slice_spacing, 1.0])
        return Volume(voxels, Grid(size, matrix, 2, self.thickness))


def halved(voxels: np.ndarray) -> np.ndarray:
    """Return means of 2 x 2 pixels, int16. Processes slice by slice, since a whole scan in float might not fit in memory."""
    depth, height, width = voxels.shape
    mean = np.empty((depth, height // 2, width // 2), np.int16)
    for z, plane in enumerate(voxels[:, : height // 2 * 2, : width // 2 * 2]):
        mean[z] = np.rint(plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3), dtype=np.float32))
    return mean
