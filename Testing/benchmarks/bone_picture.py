"""Shaded bone surfaces at 300 HU of several methods side by side."""

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


def draw(volumes: Mapping[str, np.ndarray], grid: Grid, path: Path) -> None:
    """Write the picture.

    Args:
        volumes: slices (D, H, W) HU by method, including SHOWN, all with the spacing of `grid`.
        grid: of the truth.
    """
    low, high = grid.pixel_spacing
    spacing = (grid.slice_spacing, high, low)
    depth, _, width = volumes["truth"].shape
    tall = 6.0 * depth * spacing[0] / (width * spacing[2])
    figure, axes = plt.subplots(2, 2, figsize=(12.2, 2 * tall + 0.8), layout="constrained", facecolor="black")
    for name, axis in zip(SHOWN, axes.flat, strict=True):
        axis.imshow(
            shaded(volumes[name], spacing), cmap="bone", vmin=0, vmax=1, origin="lower", aspect=spacing[0] / spacing[2]
        )
        axis.set_title(name, color="white")
        axis.set_axis_off()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def shaded(slices: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return (D, W) from 0 to 1: bone seen from behind, brighter where its surface faces the viewer."""
    bone = large_pieces(slices > BONE_HU, SPECK_MM3 / float(np.prod(spacing)))
    towards = np.where(bone, slices, -1024).astype(np.float32)[:, ::-1]
    first = (towards > BONE_HU).argmax(axis=1)
    hit = np.take_along_axis(towards, first[:, None], 1)[:, 0]
    before = np.take_along_axis(slices[:, ::-1], np.maximum(first - 1, 0)[:, None], 1)[:, 0]
    depth = (first - np.clip((hit - BONE_HU) / np.maximum(hit - before, 1), 0, 1)) * spacing[1]
    down, across = np.gradient(ndimage.gaussian_filter(depth, 0.5), spacing[0], spacing[2])
    return np.where(bone.any(axis=1), 1 / np.sqrt(1 + down**2 + across**2), 0)
