"""What is measured in a CT: regions with a surface, found by a threshold, and how far two surfaces of one region are apart.

Surfaces are as fine as interpolation makes them, not as coarse as voxels: on every line between two neighbouring voxels of
which one is inside, the level is crossed at one point, by linear interpolation. Arrays have the slice axis first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from CTSliceSynthesisEngine.evaluation.body_mask import body_mask
from scipy import ndimage
from scipy.spatial import KDTree

BONE_HU, LUNG_HU, VESSEL_HU, LUNG_VESSEL_HU = 300, -500, 180, -300
BRIGHT_HU = 450  # what is near something brighter is bone; what is not may be a contrast-filled vessel
NEAR_MM = 6.0
AROUND_MM = 10.0  # vessels of the lung lie where half of what is so near is air
LUMEN_HU = -950  # as empty as trachea and bronchi, and as a lung with emphysema
LUMEN_MM3, LUMEN_LONG_MM = (
    (5_000.0, 60_000.0),
    40.0,
)  # how large and long the airway is down to the bronchi; lungs are larger
WALL_MM = 3.0  # around the lumen, where its surface is looked for
LUNG_MM3 = 100_000.0  # air in the body that is as much as this is lung and airway, less is bowel
SPECK_MM3, TREE_SPECK_MM3 = (
    100.0,
    20.0,
)  # pieces and holes below this are noise; the second for vessels of the lung, which are thin
LEAST_MM3, LEAST_CONTRAST_MM3 = (
    5_000.0,
    100_000.0,
)  # what is smaller in the truth is not there; heart and aorta are larger
CONTRAST = "contrast-filled vessels"


@dataclass(frozen=True)
class Region:
    """What is measured.

    Attributes:
        level_hu: at which its surface lies.
        above: whether it is brighter than that.
        box: part of a scan's rows and columns that holds it.
        within: (D, h, w) bool, where it is looked for in that part; the same for the truth and every answer.
        speck_voxels: pieces and holes below this are left out, in the truth and in every answer alike.
    """

    level_hu: float
    above: bool
    box: tuple[slice, slice, slice]
    within: np.ndarray
    speck_voxels: float

    def inside(self, slices: np.ndarray) -> np.ndarray:
        """(D, h, w) bool: the region in these slices (D, H, W), without specks."""
        part = slices[self.box]
        found = self.within & ((part > self.level_hu) if self.above else (part < self.level_hu))
        return ~large_pieces(~large_pieces(found, self.speck_voxels), self.speck_voxels)

    def surface(self, slices: np.ndarray, inside: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        """Where its surface crosses the lines between neighbouring voxels, (n, 3) mm from the first voxel."""
        field = slices[self.box].astype(np.float32) - np.float32(self.level_hu)
        return np.concatenate([self._crossed(field, inside, axis) for axis in range(3)]) * np.asarray(spacing)

    def _crossed(self, field: np.ndarray, inside: np.ndarray, axis: int) -> np.ndarray:
        """The same for the lines along one axis, (n, 3) in voxels."""
        values, inner, allowed = (np.moveaxis(array, axis, 0) for array in (field, inside, self.within))
        at = np.nonzero((inner[:-1] != inner[1:]) & allowed[:-1] & allowed[1:])
        low, high = values[at], values[(at[0] + 1, *at[1:])]
        crossed = low * high < 0  # the border of a speck that was left out crosses no level
        places = np.stack(at, axis=1)[crossed].astype(np.float64)
        places[:, 0] += (low / (low - high))[crossed]
        return np.concatenate([places[:, 1 : axis + 1], places[:, :1], places[:, axis + 1 :]], axis=1)


def regions(slices: np.ndarray, spacing: Sequence[float]) -> dict[str, Region]:
    """The regions that a true scan holds, by name.

    Args:
        slices: (D, H, W) HU.
        spacing: mm along these axes.
    """
    voxel = math.prod(spacing)
    smooth = ndimage.gaussian_filter(slices.astype(np.float32), [1 / step for step in spacing])
    body = body_mask(slices)
    air = large_pieces(without_outside(slices < LUNG_HU), LUNG_MM3 / voxel)
    bone = body & grown(smooth > BRIGHT_HU, spacing, NEAR_MM)
    lumen = airways(air & (smooth < LUMEN_HU), spacing)
    found = {
        "bone": _region(BONE_HU, True, bone, SPECK_MM3 / voxel),
        "lung": _region(LUNG_HU, False, body & grown(air, spacing, NEAR_MM), SPECK_MM3 / voxel),
        "airway": _region(LUNG_HU, False, grown(lumen, spacing, WALL_MM), SPECK_MM3 / voxel),
        "vessels of the lung": _region(LUNG_VESSEL_HU, True, mostly(air, spacing, AROUND_MM), TREE_SPECK_MM3 / voxel),
        CONTRAST: _region(VESSEL_HU, True, body & ~bone, SPECK_MM3 / voxel),
    }
    least = dict.fromkeys(found, LEAST_MM3) | {CONTRAST: LEAST_CONTRAST_MM3}
    return {name: one for name, one in found.items() if one.inside(slices).sum() * voxel >= least[name]}


def _region(level_hu: float, above: bool, within: np.ndarray, speck_voxels: float) -> Region:
    found = ndimage.find_objects(within.any(axis=0)[None].astype(np.int8))
    box = (slice(None), *found[0][1:]) if found else (slice(None), slice(0), slice(0))
    return Region(level_hu, above, box, within[box], speck_voxels)


def airways(empty: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Trachea and main bronchi: the pieces that are as large and as long as these."""
    labels, _ = ndimage.label(empty)
    volumes = np.bincount(labels.ravel()) * math.prod(spacing)
    long = [0.0, *((box[0].stop - box[0].start) * spacing[0] for box in ndimage.find_objects(labels))]
    kept = (volumes >= LUMEN_MM3[0]) & (volumes <= LUMEN_MM3[1]) & (np.array(long) >= LUMEN_LONG_MM)
    return kept[labels]


def without_outside(air: np.ndarray) -> np.ndarray:
    """The pieces that touch no edge of a slice: the air around the patient does."""
    labels, _ = ndimage.label(air)
    outside = np.unique(np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()]))
    kept = np.ones(labels.max() + 1, bool)
    kept[[0, *outside]] = False
    return kept[labels]


def large_pieces(mask: np.ndarray, voxels: float) -> np.ndarray:
    """The pieces of a mask that have at least so many voxels."""
    labels, _ = ndimage.label(mask)
    kept = np.bincount(labels.ravel(), minlength=1) >= voxels
    kept[0] = False
    return kept[labels]


def grown(mask: np.ndarray, spacing: Sequence[float], mm: float) -> np.ndarray:
    """The mask, and all within a box that reaches so many mm to each side."""
    return ndimage.maximum_filter(mask, [2 * round(mm / step) + 1 for step in spacing])


def mostly(mask: np.ndarray, spacing: Sequence[float], mm: float) -> np.ndarray:
    """Where at least half of a box that reaches so many mm to each side lies in the mask."""
    return ndimage.uniform_filter(mask.astype(np.float32), [2 * round(mm / step) + 1 for step in spacing]) >= 0.5


def distances(found: np.ndarray, true: np.ndarray, factor: int, slice_spacing: float) -> np.ndarray:
    """Distances in mm from each surface to the other, of points (n, 3) mm that do not lie on an acquired slice."""

    def new(points: np.ndarray) -> np.ndarray:
        slices = points[:, 0] / (factor * slice_spacing)
        return points[np.abs(slices - np.rint(slices)) > 1e-6]

    there, back = (KDTree(to).query(new(of), workers=-1)[0] for of, to in ((found, true), (true, found)))
    return np.concatenate([there, back])
