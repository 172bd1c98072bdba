"""What the benchmarks of speed measure: a scan of any depth, the rival, and the machine itself."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

SAMPLE = Path(__file__).parents[2] / "CTSliceSynthesis/Resources/SampleData/ts_body_1p5iso_crop.nrrd"


def scan(depth: int, size: int = 512) -> Volume:
    """A scan of `depth` slices of `size` x `size` pixels, made of mirrored copies of the sample: no air around it."""
    sample = read(SAMPLE).voxels
    pads = [(0, max(0, n - have)) for n, have in zip((depth, size, size), sample.shape, strict=True)]
    voxels = np.pad(sample, pads, mode="reflect")[:depth, :size, :size]
    matrix = np.diag([0.7, 0.7, 2.0, 1.0])
    return Volume(np.ascontiguousarray(voxels), Grid((size, size, depth), matrix, 2, thickness=2.0))


def bspline(volume: Volume, factor: int) -> None:
    """What Slicer's resampling offers: `sitkBSpline` to the same grid, in the same voxel type, on as many threads."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing(volume.grid.spacing)
    fine = volume.grid.refined(factor)
    sitk.Resample(
        image, fine.size, sitk.Transform(), sitk.sitkBSpline, (0.0, 0.0, 0.0), fine.spacing, image.GetDirection(), 0
    )


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_multiplications(dtype: torch.dtype) -> float:
    """Multiplications per second of a large matrix product: the most that this machine gives now."""
    matrix = torch.ones(2048, 2048, dtype=dtype)
    return 2048**3 / min(seconds(lambda: matrix @ matrix) for _ in range(5))


def median(values: Sequence[float], digits: int = 2) -> float:
    """Median, rounded for a table."""
    return round(statistics.median(values), digits) if values else math.nan


def table(rows: Sequence[dict[str, object]]) -> str:
    """Rows as a Markdown table, the keys of the first as its head."""
    lines = [list(map(str, rows[0])), ["---"] * len(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
