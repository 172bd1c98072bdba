"""Training speed: crops per second, share of time spent waiting for crops, and the speed-up by a second process.

    python Testing/benchmarks/training_speed.py [--runs 5] [--steps 60] [--preset compact] [--recipe dense] [--out figures.json]

One and two processes of one thread each, under torchrun with gloo, in turn: medians, and the ratio of each pair. The first
steps of each run are not counted. The cohort is made of mirrored copies of the sample.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS as NETWORKS
from CTSliceSynthesisEngine.training.optimization.process_group import joined
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings, train
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.training_recipes import PRESETS, GapTraining
from subjects import scan

WARM_UP = 10  # steps


def crops_of(recipe: GapTraining) -> int:
    """Return the number of crops that one process uses in a step."""
    return recipe.step.through_plane_crops + recipe.step.axial_crops + recipe.step.native_crops


def work(preset: str, recipe_name: str, steps: int) -> None:
    """Train in one process of torchrun; the first one prints crops per second and the share of time spent waiting."""
    torch.set_num_threads(1)
    voxels = [scan(depth, 320).voxels for depth in (40, 60)]
    scans = [TrainingScan(f"{n}", v.astype(np.int16), 2.0 + n, 0.7, 2.0) for n, v in enumerate(voxels)]
    recipe = PRESETS[recipe_name]
    assert isinstance(recipe, GapTraining)
    seen: list[tuple[float, float, float]] = []

    def watch(figures: dict[str, float]) -> None:
        seen.append((time.perf_counter(), figures["step"], figures["waiting"]))

    with joined(torch.device("cpu")) as world, tempfile.TemporaryDirectory() as folder:
        settings = LoopSettings(minutes=None, steps=WARM_UP + steps, watch_every=WARM_UP, save_every=1e9)
        torch.manual_seed(0)
        model = Model.untrained(NETWORKS[preset])
        train(model, scans, recipe, settings, world, Path(folder) / "state", watch=watch)
        if world.leads:
            (start, first, _), (end, last, waiting) = seen[0], seen[-1]
            speed = (last - first) * world.size * crops_of(recipe) / (end - start)
            print(json.dumps({"crops_per_second": speed, "waiting": waiting}))


def run(processes: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run the training under torchrun and return its figures."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += [__file__, "--work", "--steps", str(options.steps)]
    command += ["--preset", options.preset, "--recipe", options.recipe]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help=f"counted steps, a multiple of {WARM_UP}")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--recipe", default="dense")
    parser.add_argument("--out")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.preset, options.recipe, options.steps)
        return
    found = [(run(1, options), run(2, options)) for _ in range(options.runs)]
    one, two = zip(*found, strict=True)
    figures = {
        "preset": options.preset,
        "recipe": options.recipe,
        "runs": options.runs,
        "crops_per_second_one_thread": round(statistics.median(row["crops_per_second"] for row in one), 1),
        "crops_per_second_two_processes": round(statistics.median(row["crops_per_second"] for row in two), 1),
        "speed_up": round(statistics.median(b["crops_per_second"] / a["crops_per_second"] for a, b in found), 2),
        "waiting_one": round(statistics.median(row["waiting"] for row in one), 4),
        "waiting_two": round(statistics.median(row["waiting"] for row in two), 4),
    }
    print(json.dumps(figures, indent=2))
    if options.out:
        Path(options.out).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
