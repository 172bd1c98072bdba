"""Speed of three-view synthesis compared with SimpleITK's B-spline resampling of the same job in the same run.

    python Testing/benchmarks/speed.py [--depth 101] [--runs 5] [--out speed.json]

Both methods alternate in one process, with models loaded and files excluded; medians of times and of the ratios of the pairs.
One row for each model and factor, also for CUDA if available. Share of peak: the networks' multiplications per second
relative to those of a large matrix product in float32 and in bfloat16, measured between the pairs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.networks.registry import find_bundled
from CTSliceSynthesisEngine.synthesis.devices import choose_precision
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.volume import Volume
from subjects import bspline, median, peak_multiplications, scan, seconds, table

JOBS = (("compact", 2), ("compact", 4), ("compact", 5), ("quality", 2))
"""Models and factors of the rows; a preset without bundled weights is timed untrained, which takes the same time."""


def row(volume: Volume, name: str, model: Model, factor: int, device: torch.device, runs: int) -> dict[str, object]:
    """Time both methods in alternation."""
    plan = make_plan(volume.grid, volume.voxels.dtype, SynthesisOptions(factor=factor), recipe=model.recipe)
    pairs, peaks = [], []
    for _ in range(runs + 1):  # the first pair warms up
        ours = seconds(lambda: synthesize(volume, plan, model, device=device))
        pairs.append((ours, seconds(lambda: bspline(volume, factor))))
        peaks.append([peak_multiplications(dtype) for dtype in (torch.float32, torch.bfloat16)])
    ours, rival = zip(*pairs[1:], strict=True)
    single, half = (
        [plan.work / a / peak for a, peak in zip(ours, each, strict=True)] for each in zip(*peaks[1:], strict=True)
    )
    on_cpu = device.type == "cpu"
    return {
        "model": name,
        "device": device.type,
        "factor": factor,
        "ours s": median(ours),
        "B-spline s": median(rival),
        "ratio": median([a / b for a, b in pairs[1:]]),
        "ms / new slice": median([1000 * a / ((volume.grid.slice_count - 1) * (factor - 1)) for a in ours], 1),
        "share of float32 peak": median(single) if on_cpu else "",
        "share of bfloat16 peak": median(half) if on_cpu else "",
    }


def loaded(name: str) -> Model:
    """Return the bundled model, or untrained networks of that size."""
    return load(name) if find_bundled(name) else Model.untrained(PRESETS[name])


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=101)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    volume = scan(options.depth, options.size)
    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    rows = [
        row(volume, name, loaded(name), factor, device, options.runs) for device in devices for name, factor in JOBS
    ]
    setting = {
        "size": list(volume.grid.size),
        "threads": torch.get_num_threads(),
        "convolutions": str(choose_precision(torch.device("cpu"))),
        "runs": options.runs,
    }
    print(setting, table(rows), sep="\n")
    if len(devices) == 1:
        print("No CUDA device here: its rows were not run.")
    if options.out:
        options.out.write_text(json.dumps({**setting, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
