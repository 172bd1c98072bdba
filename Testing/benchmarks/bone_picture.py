"""Bone as one sees it on a screen: the surface at 300 HU, lit from the viewer, of several answers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from CTSliceSynthesisEngine.volume.grid import Grid
from scipy import ndimage
from surfaces import BONE_HU, SPECK_MM3, large_pieces

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN = ("thick", "cubic", "compact", "truth")


def draw(made: Mapping[str, np.ndarray], grid: Grid, path: Path) -> None:
    """Write the picture.

    Args:
        made: answers (D, H, W) HU by name, among them SHOWN, all on `grid`'s spacings.
        grid: of the truth.
    """
    low, high = grid.pixel_spacing
    spacing = (grid.slice_spacing, high, low)
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(4 * len(SHOWN), 4), layout="constrained", facecolor="black")
    for name, axis in zip(SHOWN, axes, strict=True):
        shades = lit(made[name], spacing)
        axis.imshow(shades, cmap="bone", vmin=0, vmax=1, origin="lower", aspect=spacing[0] / spacing[2])
        axis.set_title(name, color="white")
        axis.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def lit(slices: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(D, W) from 0 to 1: bone as seen from behind, the brighter the more its surface faces the viewer."""
    bone = large_pieces(slices > BONE_HU, SPECK_MM3 / float(np.prod(spacing)))
    towards = np.where(bone, slices, -1024).astype(np.float32)[:, ::-1]
    first = (towards > BONE_HU).argmax(axis=1)
    hit = np.take_along_axis(towards, first[:, None], 1)[:, 0]
    before = np.take_along_axis(slices[:, ::-1], np.maximum(first - 1, 0)[:, None], 1)[:, 0]
    depth = (first - np.clip((hit - BONE_HU) / np.maximum(hit - before, 1), 0, 1)) * spacing[1]
    down, across = np.gradient(ndimage.gaussian_filter(depth, 0.5), spacing[0], spacing[2])
    return np.where(bone.any(axis=1), 1 / np.sqrt(1 + down**2 + across**2), 0)
