"""How fast, and in how much memory: the three-view synthesis beside SimpleITK's B-spline resampling of the same job.

    python Testing/benchmarks/speed_and_memory.py [--depths 50 100 200] [--runs 3] [--size 512] [--out figures.json]

Time: both methods in turn in one process, models loaded, files left out; medians, and the ratio of each pair.
Memory: the peak of the whole process of `ctslices increase`, files included, beside the size of input and output.
The share of peak is the networks' multiplications per second over those of a large matrix product in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.synthesis.devices import choose_precision
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.files import read, write
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

SAMPLE = Path(__file__).parents[2] / "CTSliceSynthesis/Resources/SampleData/ts_body_1p5iso_crop.nrrd"


def scan(depth: int, size: int) -> Volume:
    """A scan of `depth` slices of `size` x `size` pixels, made of mirrored copies of the sample."""
    sample = read(SAMPLE).voxels
    pads = [(0, max(0, n - have)) for n, have in zip((depth, size, size), sample.shape, strict=True)]
    voxels = np.pad(sample, pads, mode="reflect")[:depth, :size, :size]
    matrix = np.diag([0.7, 0.7, 2.0, 1.0])
    return Volume(np.ascontiguousarray(voxels), Grid((size, size, depth), matrix, 2, thickness=2.0))


def bspline(volume: Volume, factor: int) -> None:
    """What Slicer's resampling offers: `sitkBSpline` to the same grid, in the same voxel type."""
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


def timed(depth: int, factor: int, size: int, runs: int, model_name: str) -> dict[str, Any]:
    """Both methods in turn."""
    volume, model = scan(depth, size), load(model_name)
    plan = make_plan(volume.grid, volume.voxels.dtype, factor=factor, recipe=model.recipe)
    pairs = []
    for _ in range(runs + 1):  # the first pair warms up
        ours = seconds(lambda: synthesize(volume, plan, model))
        pairs.append((ours, seconds(lambda: bspline(volume, factor))))
    ours, rival = (statistics.median(times) for times in zip(*pairs[1:], strict=True))
    return {
        "depth": depth,
        "factor": factor,
        "ours_s": round(ours, 2),
        "bspline_s": round(rival, 2),
        "ratio": round(statistics.median(a / b for a, b in pairs[1:]), 2),
        "ms_per_new_slice": round(1000 * ours / ((depth - 1) * (factor - 1)), 1),
        "share_of_peak": round(plan.work / ours / peak_multiplications(), 2),
    }


def peak_multiplications() -> float:
    """Multiplications per second of a large matrix product in the precision that the networks use."""
    dtype = choose_precision(torch.device("cpu"))
    matrix = torch.ones(2048, 2048, dtype=dtype)
    return 2048**3 / min(seconds(lambda: matrix @ matrix) for _ in range(5))


_PEAK_OF_A_RUN = """
import resource, sys
from CTSliceSynthesisEngine.jobs.commands import main
status = main(sys.argv[1:])
try:  # Linux: the peak since the program started; what getrusage tells there includes its parent before the start
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak)
sys.exit(status)
"""


def memory(depth: int, factor: int, size: int, model_name: str) -> dict[str, Any]:
    """Peak resident memory of the whole process of `ctslices increase`."""
    with tempfile.TemporaryDirectory() as folder:
        write(scan(depth, size), f"{folder}/thick.nrrd")
        command = ["increase", "thick.nrrd", "thin.nrrd", "--factor", str(factor), "--model", model_name]
        run = subprocess.run(
            [sys.executable, "-c", _PEAK_OF_A_RUN, *command],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    voxels = size * size * (depth + (depth - 1) * factor + 1)
    return {"peak_gb": round(int(run.stdout.split()[-1]) / 1e9, 2), "in_and_out_gb": round(2 * voxels / 1e9, 2)}


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--out")
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
    print(f"{torch.get_num_threads()} threads, convolutions in {choose_precision(torch.device('cpu'))}")
    print("depth  factor  ours s  B-spline s  ratio  ms/new slice  share of peak  peak GB  in + out GB")
    rows = []
    for depth in options.depths:
        row = timed(depth, options.factor, options.size, options.runs, options.model)
        row |= memory(depth, options.factor, options.size, options.model)
        rows.append(row)
        print(
            f"{row['depth']:5d}  x{row['factor']:<5d} {row['ours_s']:7.2f} {row['bspline_s']:11.2f} {row['ratio']:6.2f}"
            f" {row['ms_per_new_slice']:13.1f} {row['share_of_peak']:14.2f} {row['peak_gb']:8.2f} {row['in_and_out_gb']:12.2f}",
            flush=True,
        )
    if options.out:
        Path(options.out).write_text(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
