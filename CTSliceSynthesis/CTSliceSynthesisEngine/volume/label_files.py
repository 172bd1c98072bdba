"""Reading of label maps: integers as stored, not HU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from .files import find_source
from .grid import Grid
from .image_files import image_file
from .image_files.stored_voxels import TIGHTEST_LABELS
from .source import FLIP, Source
from .volume import Volume

MOST_LABELS = 1000
"""A file with more distinct values is an image, not a label map."""
SAME_PLACE_MM = 0.01
"""Corners of equal grids differ by less, due to rounding in files."""


def read_labels(path: str | os.PathLike[str], grid: Grid) -> Volume:
    """Load a label map of a scan.

    Args:
        path: as for scans.
        grid: of the scan.

    Returns:
        Labels (k, j, i) in the data type of the file, on `grid`.

    Raises:
        SynthesisError: "bad-input" if the file cannot be read or is not a label map, "bad-geometry" if its grid differs.
    """
    source = _source(path)
    _check_grid(source, grid)
    labels = source.load()
    _check_labels(source.name, labels)
    return Volume(labels, grid)


def label_grid(path: str | os.PathLike[str], axis: int) -> Grid:
    """Return the grid of a label map, from its header, with this slice axis. Raises as `read_labels`."""
    source = _source(path)
    return Grid(source.size, FLIP @ source.lps, axis)


def _source(path: str | os.PathLike[str]) -> Source:
    file = Path(path)
    is_image = image_file.suffix(file) in image_file.PARSERS and file.is_file()
    return image_file.source(file, TIGHTEST_LABELS) if is_image else find_source(file)


def _check_grid(source: Source, grid: Grid) -> None:
    label_grid = Grid(source.size, FLIP @ source.lps, grid.slice_axis)
    if label_grid.matches(grid, SAME_PLACE_MM):
        return
    distance = float(np.linalg.norm(np.subtract(label_grid.origin, grid.origin)))
    if label_grid.size == grid.size and np.allclose(label_grid.matrix[:3, :3], grid.matrix[:3, :3], atol=1e-3):
        message = (
            f"{source.name} is {distance:.4g} mm away from the scan, as labels of another patient or scan would be"
        )
        raise SynthesisError("bad-geometry", f"{message}; choose the labels of this scan.")
    name = f"{source.name[0].lower()}{source.name[1:]}"
    message = f"Labels must be on the scan's grid, {_describe(grid)}, but {name} has {_describe(label_grid)}"
    raise SynthesisError("bad-geometry", f"{message}; choose labels of this scan, or resample them to it first.")


def _describe(grid: Grid) -> str:
    size, spacing = " x ".join(map(str, grid.size)), " x ".join(f"{step:.4g}" for step in grid.spacing)
    return f"{size} voxels of {spacing} mm from {', '.join(f'{at:.4g}' for at in grid.origin)}"


def _check_labels(name: str, labels: np.ndarray) -> None:
    if labels.dtype.kind == "f":
        fractional = labels[labels != np.rint(labels)]  # NaN too
        if fractional.size:
            message = f"Labels are whole numbers, but {name} holds {fractional.flat[0]:g}"
            raise SynthesisError("bad-input", f"{message}; give a label map, or round it.")
    count = len(set().union(*(np.unique(plane).tolist() for plane in labels)))
    if count > MOST_LABELS:
        message = f"A label map holds at most {MOST_LABELS} different numbers, but {name} holds {count}"
        raise SynthesisError("bad-input", f"{message}; give the labels, not the scan.")
