"""Checks and timings for a machine with a CUDA card, in under four minutes.

    python Testing/benchmarks/graphics_card.py [--out graphics_card.json]

For each bundled model: results on the card compared with the processor, seconds and memory of whole jobs, running out of
memory, and training steps per second. The scans are synthetic, as speed does not depend on their content.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.networks.recipes import CompactRecipe
from CTSliceSynthesisEngine.networks.registry import bundled_models
from CTSliceSynthesisEngine.synthesis import devices
from CTSliceSynthesisEngine.synthesis.options import FLOAT32, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import Silent, synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.training.optimization.process_group import World
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings, train
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.training_recipes import PRESETS
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
JOBS = ((101, 2), (101, 4), (800, 2), (800, 4))
"""Slices and factors, of 512 x 512 pixels."""
CLOSE_HU = 1
ROUNDED_HU = 8  # half precision, anywhere
STEPS = 200


def scan(slices: int, side: int = 512) -> Volume:
    """Return a scan of waves and noise with touching 3 mm slices."""
    rng = np.random.default_rng(0)
    k, j, i = np.arange(slices)[:, None, None], np.arange(side)[:, None], np.arange(side)
    plane = rng.normal(0, 30, (side, side))
    hu = 200 * np.sin(k / 3 + i / 9) * np.cos(j / 11) + plane
    return Volume(hu.astype(np.int16), Grid((side, side, slices), np.diag([0.75, 0.75, 3.0, 1.0]), 2, 3.0))


class _Strict(Silent):
    def say(self, sentence: str) -> None:
        sys.exit(sentence)


def made(model: Model, volume: Volume, factor: int, device: torch.device, precision: str = "auto") -> np.ndarray:
    """Return the voxels of a run; falling back to the processor is an error here."""
    plan = make_plan(
        volume.grid,
        volume.voxels.dtype,
        SynthesisOptions(factor=factor, precision=precision, accept_isotropic=True),
        recipe=model.recipe,
    )
    return synthesize(volume, plan, model, device=device, reporter=_Strict()).volume.voxels


def same_answer(model: Model) -> dict[str, Any]:
    """Compare the card with the processor in float32, and half precision with float32."""
    small = scan(12, 192)
    torch.backends.cudnn.allow_tf32 = False  # float32 to the last bit
    on_cpu, exact, half = (
        made(model, small, 3, device, precision).astype(int)
        for device, precision in ((CPU, FLOAT32), (CUDA, FLOAT32), (CUDA, "auto"))
    )
    return {
        "largest_difference_hu": int(np.abs(exact - on_cpu).max()),
        "largest_difference_half_precision_hu": int(np.abs(half - on_cpu).max()),
        "mean_difference_half_precision_hu": round(float(np.abs(half - on_cpu).mean()), 3),
    }


def timed(model: Model, slices: int, factor: int) -> dict[str, Any]:
    """Return the seconds and the peak memory on the card."""
    volume = scan(slices)
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    made(model, volume, factor, CUDA)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {
        "slices": slices,
        "factor": factor,
        "seconds": round(seconds, 2),
        "card_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
    }


def short_of_memory(model: Model) -> dict[str, Any]:
    """Check that a run with little memory left on the card continues and gives the same slices."""
    volume = scan(12, 384)
    expected = made(model, volume, 2, CUDA).astype(int)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(0, free - (192 << 20)), dtype=torch.uint8, device=CUDA)
    room = devices.gaps_at_once
    devices.gaps_at_once = lambda device, pixels, largest: 16 if largest is None else min(16, largest)
    try:
        found = made(model, volume, 2, CUDA).astype(int)
    finally:
        devices.gaps_at_once = room
        del taken
    return {"largest_difference_hu": int(np.abs(found - expected).max())}


def training_speed(model: Model) -> dict[str, Any]:
    """Return the training steps per second of the recipe `dense`, for untrained networks of the model's size."""
    voxels = scan(60, 256).voxels
    scans = [TrainingScan("waves", voxels, 1.5, 0.75, 1.5)]
    fresh = Model.untrained(model.recipe)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        settings = LoopSettings(minutes=None, steps=STEPS)
        train(fresh, scans, PRESETS["dense"], settings, World(0, 1, CUDA), Path(folder) / "state")
        seconds = time.perf_counter() - start
    return {"steps_per_second": round(STEPS / seconds, 1)}


def main() -> None:
    """Print the figures and write JSON; the exit status is 1 if a result differs from the processor's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This machine has no CUDA card that PyTorch can use.")
    start = time.perf_counter()
    found: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "models": {}}
    for entry in bundled_models():
        model = load(entry.name)
        assert isinstance(model.recipe, CompactRecipe)
        rows = {"same_answer": same_answer(model), "jobs": [timed(model, *job) for job in JOBS]}
        rows |= {"short_of_memory": short_of_memory(model), "training": training_speed(model)}
        found["models"][entry.name] = rows
        print(entry.name, json.dumps(rows, indent=1), flush=True)
    found["seconds"] = round(time.perf_counter() - start, 1)
    print(f"{found['card']}: all in {found['seconds']} s")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, rows in found["models"].items():
        off = rows["same_answer"]
        if off["largest_difference_hu"] > CLOSE_HU or off["largest_difference_half_precision_hu"] > ROUNDED_HU:
            sys.exit(f"{name}: the result on the card differs from the processor's")


if __name__ == "__main__":
    main()
