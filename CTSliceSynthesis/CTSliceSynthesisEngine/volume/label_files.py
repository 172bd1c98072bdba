"""Label maps of a scan, read as they are stored: whole numbers, and no HU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from .files import found_at
from .grid import Grid
from .source import FLIP, Source
from .volume import Volume

MOST_LABELS = 1000
"""A file that holds more different numbers is no label map, but an image."""
SAME_PLACE_MM = 0.01
"""Corners of one grid differ by less, as files round them."""


def read_labels(path: str | os.PathLike[str], grid: Grid) -> Volume:
    """Load a label map that was drawn on a scan.

    Args:
        path: as for scans.
        grid: of the scan.

    Returns:
        Labels (k, j, i) in the file's type, on `grid`.

    Raises:
        SynthesisError: "bad-input" where the file cannot be read or holds no labels, "bad-geometry" where they lie elsewhere.
    """
    found = found_at(Path(path))
    _check_place(found, grid)
    labels = found.load()
    _check_labels(found.name, labels)
    return Volume(labels, grid)


def _check_place(found: Source, grid: Grid) -> None:
    own = Grid(found.size, FLIP @ found.lps, grid.slice_axis)
    if own.matches(grid, SAME_PLACE_MM):
        return
    away = float(np.linalg.norm(np.subtract(own.origin, grid.origin)))
    if own.size == grid.size and np.allclose(own.matrix[:3, :3], grid.matrix[:3, :3], atol=1e-3):
        message = f"{found.name} lies {away:.4g} mm away from the scan, as labels of another patient or scan do"
        raise SynthesisError("bad-geometry", f"{message}; give those that were drawn on this scan.")
    message = f"Labels must lie on the scan's own grid, {_told(grid)}, but {found.name} has {_told(own)}"
    raise SynthesisError("bad-geometry", f"{message}; give those of this scan, or resample them onto it first.")


def _told(grid: Grid) -> str:
    size, spacing = " x ".join(map(str, grid.size)), " x ".join(f"{step:.4g}" for step in grid.spacing)
    return f"{size} voxels of {spacing} mm from {', '.join(f'{at:.4g}' for at in grid.origin)}"


def _check_labels(name: str, labels: np.ndarray) -> None:
    if labels.dtype.kind == "f":
        odd = labels[labels != np.rint(labels)]  # NaN too
        if odd.size:
            message = f"Labels are whole numbers, but {name} holds {odd.flat[0]:g}"
            raise SynthesisError("bad-input", f"{message}; give a label map, or round it.")
    count = len(np.unique(labels))
    if count > MOST_LABELS:
        message = f"A label map holds at most {MOST_LABELS} different numbers, but {name} holds {count}"
        raise SynthesisError("bad-input", f"{message}; give the labels, not the scan.")
