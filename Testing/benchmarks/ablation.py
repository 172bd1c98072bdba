"""Ablation of the training: one ingredient changed at a time, with the same seeds and processor time.

    python Testing/benchmarks/ablation.py COHORT --out FOLDER [--sources CSV] [--minutes 2] [--seeds 0]
                                          [--variants NAME ...] [--preset compact] [--threads 1]

Two patients of the cohort are left out in turn, and only ever measured: gain in PSNR (dB) and SSIM over 4-point cubic
interpolation on synthesized slices of the middle of each scan, at x2 and x4, for each view, for the mean of coronal and
sagittal (C+S) and for the fused result. Differences below 0.1 dB are ties.

Finished cells are kept in FOLDER/cells and not computed again, and an unfinished one is resumed, so the script may be stopped
at any time. The table is written to FOLDER/ablation.md and FOLDER/ablation.json after every cell.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.metrics import score
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS as NETWORKS
from CTSliceSynthesisEngine.networks.recipes import CompactRecipe, Recipe
from CTSliceSynthesisEngine.synthesis.classical import interpolate_volume
from CTSliceSynthesisEngine.training.optimization.process_group import World
from CTSliceSynthesisEngine.training.optimization.recipe import TrainingRecipe
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings, train
from CTSliceSynthesisEngine.training.scans.cohort import NO_HOLDOUT, survey
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.training.scans.source_table import read_sources
from CTSliceSynthesisEngine.training.training_recipes import PRESETS, GapTraining, select
from CTSliceSynthesisEngine.training.validation.fusion_weights import fit_fusion
from CTSliceSynthesisEngine.training.validation.held_out_scans import factors, middle, restore

WINDOW = (49, 192, 192)  # slices, rows and columns that are measured
SINGLE = {"axial": (1.0, 0.0, 0.0), "coronal": (0.0, 1.0, 0.0), "sagittal": (0.0, 0.0, 1.0), "C+S": (0.0, 0.5, 0.5)}


class Variant(NamedTuple):
    """A training recipe and the networks to train; None means those of the preset."""

    recipe: TrainingRecipe
    networks: Recipe | None = None


def variants() -> dict[str, Variant]:
    """Return variants by name: the two presets, each also with one change, and the paper's own recipe."""
    presets = {name: recipe for name, recipe in PRESETS.items() if isinstance(recipe, GapTraining)}
    dense, anchored = presets["dense"], presets["anchored"]

    def step(recipe: GapTraining, **changes: Any) -> GapTraining:
        return replace(recipe, step=replace(recipe.step, **changes))

    def crops(recipe: GapTraining, **changes: Any) -> GapTraining:
        return replace(recipe, crops=replace(recipe.crops, **changes))

    beside = step(dense, native_crops=2, axial=0.5, teaching=0.25)
    return {
        "dense": Variant(dense),
        "dense, axial beside the planes": Variant(beside, replace(NETWORKS["compact"], axial_last=False)),
        "dense, boxes that touch alone": Variant(crops(dense, soft=False, acquired_share=0.0)),
        "dense, no averaged slices": Variant(crops(dense, slab_share=0.0)),
        "dense, no in-plane anchor": Variant(crops(dense, anchor_share=0.0)),
        "dense, near-L1 to the end": Variant(step(dense, squared_share=0.0)),
        "anchored": Variant(anchored),
        "anchored, own spacing alone": Variant(crops(anchored, own_share=1.0)),
        "published-narrow": Variant(PRESETS["published"], NETWORKS["published-narrow"]),
    }


def pairs(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Split the names into pairs to hold out; with an odd number, the last scan is always used for training."""
    return [tuple(names[first : first + 2]) for first in range(0, len(names) - 1, 2)]


def trained(variant: Variant, scans: list[TrainingScan], seed: int, state: Path, options: argparse.Namespace) -> Model:
    """Train a model for the given minutes, resuming an interrupted run."""
    torch.manual_seed(seed)
    model = Model.untrained(variant.networks or NETWORKS[options.preset])
    recipe = select(variant.recipe, model.recipe, scans)
    settings = LoopSettings(minutes=options.minutes, seed=seed, clock=time.process_time)
    train(model, scans, recipe, settings, World(0, 1, torch.device("cpu")), state)
    if isinstance(model.recipe, CompactRecipe):
        model.fusion = fit_fusion(model, scans, seed)
    return model


def measured(model: Model, scan: TrainingScan) -> Iterator[dict[str, Any]]:
    """Yield one row for each factor and fusion: gains over cubic interpolation."""
    for factor in factors(model, scan):
        thick, truth = hold_out(scan.volume(middle(scan, WINDOW)), factor, "gap")
        cubic = score(truth, interpolate_volume(thick, factor, "cubic"), factor)
        for way, weights in {**SINGLE, "fused": model.fusion}.items():
            ours = score(truth, restore(replace(model, fusion=weights), thick, factor, torch.device("cpu")), factor)
            gains = {f"{key}_gain": round(ours[key] - cubic[key], 4) for key in ("psnr_db", "ssim")}
            yield {"scan": scan.name, "factor": factor, "way": way, **gains}


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Markdown: PSNR in dB, then SSIM in thousandths; a row for each variant, means over scans and seeds."""
    return "\n".join(
        f"{title}:\n\n" + _part(cells, key, scale, form)
        for title, key, scale, form in (
            ("PSNR gain, dB", "psnr_db_gain", 1, "{:+.2f}"),
            ("SSIM gain, thousandths", "ssim_gain", 1000, "{:+.1f}"),
        )
    )


def _part(cells: Sequence[dict[str, Any]], key: str, scale: float, form: str) -> str:
    columns = [(factor, way) for factor in (2, 4) for way in (*SINGLE, "fused")]
    head = ["variant", "cells", *(f"x{factor} {way}" for factor, way in columns)]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for variant in dict.fromkeys(cell["variant"] for cell in cells):
        own = [cell for cell in cells if cell["variant"] == variant]
        rows = [row for cell in own for row in cell["rows"]]
        values = [
            _mean([scale * row[key] for row in rows if (row["factor"], row["way"]) == column], form)
            for column in columns
        ]
        lines.append("| " + " | ".join([variant, str(len(own)), *values]) + " |")
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float], form: str) -> str:
    return form.format(np.mean(values)) if values else ""


def main() -> None:
    """Make every cell that is missing, and write the table after each."""
    options = _options()
    torch.set_num_threads(options.threads)
    out, known = Path(options.out), variants()
    (out / "cells").mkdir(parents=True, exist_ok=True)
    sources = read_sources(options.sources) if options.sources else {}
    cohort = survey(Path(options.cohort), ScanCache(out / "cache"), sources, (NO_HOLDOUT,), say=print)
    scans = {scan.name: scan for scan in cohort.learned_from}
    cells = []
    for pair in pairs(sorted(scans)):
        for seed in options.seeds:
            for variant in options.variants or known:
                cell = _cell(out, variant, known[variant], pair, scans, seed, options)
                cells.append(cell)
                (out / "ablation.md").write_text(table(cells), encoding="utf-8")
                (out / "ablation.json").write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
    print(table(cells))


def _cell(
    out: Path,
    variant: str,
    known: Variant,
    pair: tuple[str, ...],
    scans: dict[str, TrainingScan],
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    name = "".join(
        c if c.isalnum() else "_" for c in f"{variant}-{'-'.join(pair)}-{seed}-{options.preset}-{options.minutes:g}"
    )
    kept = out / "cells" / f"{name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    learned_from = [scan for scan in scans.values() if scan.name not in pair]
    state = out / "cells" / f"{name}.state"
    model = trained(known, learned_from, seed, state, options)
    rows = [row for held_out in pair for row in measured(model, scans[held_out])]
    cell = {"variant": variant, "left_out": list(pair), "seed": seed, "minutes": options.minutes, "rows": rows}
    cell |= {
        "preset": options.preset,
        "threads": torch.get_num_threads(),
        "fusion": [round(w, 4) for w in model.fusion],
    }
    kept.write_text(json.dumps(cell, indent=1) + "\n", encoding="utf-8")
    state.unlink()
    fused = [f"{row['scan']} x{row['factor']} {row['psnr_db_gain']:+.2f} dB" for row in rows if row["way"] == "fused"]
    print(f"{variant}, seed {seed}: {', '.join(fused)}", flush=True)
    return cell


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument("--sources", metavar="CSV")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=list(variants()), metavar="NAME")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
