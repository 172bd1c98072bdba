"""Anatomical regions found by thresholds, and the distance between the surfaces of two versions of one region.

Surfaces have sub-voxel accuracy: between two neighboring voxels, one inside and one outside, the surface lies where linear
interpolation crosses the region's threshold. Arrays have the slice axis first.
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
BRIGHT_HU = 450  # bone has something brighter than this nearby; a contrast-filled vessel usually does not
NEAR_MM = 6.0
AROUND_MM = 10.0  # half-width of the box, at least half of it air, around a vessel of the lung
LUMEN_HU = -950  # trachea and bronchi are this dark, and so is a lung with emphysema
LUMEN_MM3, LUMEN_LONG_MM = (5_000.0, 60_000.0), 40.0  # volume and length of trachea and main bronchi; lungs are larger
WALL_MM = 3.0  # margin around the lumen in which the airway's surface is measured
LUNG_MM3 = 100_000.0  # smaller pockets of air in the body are bowel
SPECK_MM3, TREE_SPECK_MM3 = 100.0, 20.0  # smaller pieces are not counted; the second is for thin vessels of the lung
LEAST_MM3, LEAST_CONTRAST_MM3 = 5_000.0, 100_000.0  # regions smaller than this in the truth are skipped
CONTRAST = "contrast-filled vessels"


@dataclass(frozen=True)
class Region:
    """A part of the body, defined by a threshold and by where to apply it.

    Attributes:
        level_hu: the threshold.
        above: whether the region is brighter than the threshold.
        box: the part of every slice that is evaluated.
        within: (D, h, w) bool, where in the box the threshold applies; taken from the truth and the same for every method.
        speck_voxels: pieces and holes smaller than this are not counted by `pieces`.
    """

    level_hu: float
    above: bool
    box: tuple[slice, slice, slice]
    within: np.ndarray
    speck_voxels: float

    def mask(self, slices: np.ndarray) -> np.ndarray:
        """Return the region's mask, (D, h, w) bool, in slices (D, H, W) HU."""
        part = slices[self.box]
        return self.within & ((part > self.level_hu) if self.above else (part < self.level_hu))

    def without_specks(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask without its small pieces and with its small holes filled."""
        return ~large_pieces(~large_pieces(mask, self.speck_voxels), self.speck_voxels)

    def pieces(self, mask: np.ndarray) -> int:
        """Return the number of connected pieces, without specks."""
        return int(ndimage.label(self.without_specks(mask))[1])

    def surface(self, slices: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        """Return the surface points, (n, 3) mm from the first voxel.

        Nothing is removed first: a vessel that comes out in short pieces is still there, and so is the noise.
        """
        field = slices[self.box].astype(np.float32) - np.float32(self.level_hu)
        return np.concatenate([self._crossings(field, mask, axis) for axis in range(3)]) * np.asarray(spacing)

    def _crossings(self, field: np.ndarray, mask: np.ndarray, axis: int) -> np.ndarray:
        """Return the surface points on the grid lines along one axis, (n, 3) in voxels."""
        values, inside, allowed = (np.moveaxis(array, axis, 0) for array in (field, mask, self.within))
        at = np.nonzero((inside[:-1] != inside[1:]) & allowed[:-1] & allowed[1:])
        low, high = values[at], values[(at[0] + 1, *at[1:])]
        points = np.stack(at, axis=1).astype(np.float64)
        points[:, 0] += low / (low - high)
        return np.concatenate([points[:, 1 : axis + 1], points[:, :1], points[:, axis + 1 :]], axis=1)


def regions(slices: np.ndarray, spacing: Sequence[float]) -> dict[str, Region]:
    """Find the regions of a scan.

    Args:
        slices: (D, H, W) HU, the truth.
        spacing: mm along these axes.

    Returns:
        Regions by name; those that are too small to measure are left out.
    """
    voxel = math.prod(spacing)
    smooth = ndimage.gaussian_filter(slices.astype(np.float32), [1 / step for step in spacing])
    body = body_mask(slices)
    air = large_pieces(without_outside(slices < LUNG_HU), LUNG_MM3 / voxel)
    bone = body & dilate(smooth > BRIGHT_HU, spacing, NEAR_MM)
    lumen = airways(air & (smooth < LUMEN_HU), spacing)
    candidates = {
        "bone": _region(BONE_HU, True, bone, SPECK_MM3 / voxel),
        "lung": _region(LUNG_HU, False, body & dilate(air, spacing, NEAR_MM), SPECK_MM3 / voxel),
        "airway": _region(LUNG_HU, False, dilate(lumen, spacing, WALL_MM), SPECK_MM3 / voxel),
        "vessels of the lung": _region(LUNG_VESSEL_HU, True, mostly(air, spacing, AROUND_MM), TREE_SPECK_MM3 / voxel),
        CONTRAST: _region(VESSEL_HU, True, body & ~bone, SPECK_MM3 / voxel),
    }
    least = dict.fromkeys(candidates, LEAST_MM3) | {CONTRAST: LEAST_CONTRAST_MM3}
    return {
        name: region
        for name, region in candidates.items()
        if region.without_specks(region.mask(slices)).sum() * voxel >= least[name]
    }


def _region(level_hu: float, above: bool, within: np.ndarray, speck_voxels: float) -> Region:
    bounds = ndimage.find_objects(within.any(axis=0)[None].astype(np.int8))
    box = (slice(None), *bounds[0][1:]) if bounds else (slice(None), slice(0), slice(0))
    return Region(level_hu, above, box, within[box], speck_voxels)


def airways(lumen: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the pieces of a mask that have the volume and the length of trachea and main bronchi."""
    labels, _ = ndimage.label(lumen)
    volumes = np.bincount(labels.ravel()) * math.prod(spacing)
    lengths = [0.0, *((box[0].stop - box[0].start) * spacing[0] for box in ndimage.find_objects(labels))]
    chosen = (volumes >= LUMEN_MM3[0]) & (volumes <= LUMEN_MM3[1]) & (np.array(lengths) >= LUMEN_LONG_MM)
    return chosen[labels]


def without_outside(air: np.ndarray) -> np.ndarray:
    """Return a mask of air without the pieces that touch the edge of a slice: that is the air around the patient."""
    labels, _ = ndimage.label(air)
    outside = np.unique(np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()]))
    inner = np.ones(labels.max() + 1, bool)
    inner[[0, *outside]] = False
    return inner[labels]


def large_pieces(mask: np.ndarray, voxels: float) -> np.ndarray:
    """Return the pieces of a mask that have at least `voxels` voxels."""
    labels, _ = ndimage.label(mask)
    large = np.bincount(labels.ravel(), minlength=1) >= voxels
    large[0] = False
    return large[labels]


def dilate(mask: np.ndarray, spacing: Sequence[float], mm: float) -> np.ndarray:
    """Dilate a mask by a box that reaches `mm` to each side."""
    return ndimage.maximum_filter(mask, [2 * round(mm / step) + 1 for step in spacing])


def mostly(mask: np.ndarray, spacing: Sequence[float], mm: float) -> np.ndarray:
    """Return where the mask fills at least half of the box that reaches `mm` to each side."""
    return ndimage.uniform_filter(mask.astype(np.float32), [2 * round(mm / step) + 1 for step in spacing]) >= 0.5


def distances(surface: np.ndarray, true_surface: np.ndarray, factor: int, slice_spacing: float) -> np.ndarray:
    """Return the distances in mm from each surface to the other.

    Args:
        surface, true_surface: points (n, 3) mm.
        factor: every `factor`-th slice was acquired; points on acquired slices do not count.
        slice_spacing: mm between slices of the truth.
    """

    def between(points: np.ndarray) -> np.ndarray:
        slices = points[:, 0] / (factor * slice_spacing)
        return points[np.abs(slices - np.rint(slices)) > 1e-6]

    pairs = ((surface, true_surface), (true_surface, surface))
    return np.concatenate([KDTree(to).query(between(of), workers=-1)[0] for of, to in pairs])
