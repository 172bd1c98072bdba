"""The self-supervised promise: from thick slices alone, no thin one anywhere, from scratch.

    python Testing/benchmarks/self_supervised.py SCAN[=THICKNESS_MM] ... [--minutes 25] [--adapt 4] [--factor 2] [--out FOLDER]

Each thin scan is thinned out (gap profile), and only its thick version is given to the trainer: one `anchored` model for all
of them, from fresh weights, for --minutes; then --adapt minutes on each thick version by itself. Last, each is restore and
measured against its thin truth, which nothing has seen: gain over the best classical method on synthesized slices.
The time counts everything that learns: minutes + adapt for each scan.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from CTSliceSynthesisEngine.evaluation.holdout import compare, hold_out
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings
from CTSliceSynthesisEngine.training.scans.cohort import NO_HOLDOUT
from CTSliceSynthesisEngine.training.train_cohort import Order, train_cohort
from CTSliceSynthesisEngine.training.training_recipes import ADAPTED
from CTSliceSynthesisEngine.training.validation.held_out_scans import OURS, restore
from CTSliceSynthesisEngine.volume.files import read, write
from CTSliceSynthesisEngine.volume.volume import Volume


def figures(name: str, truth: Volume, factor: int, model: Model, way: str) -> dict[str, Any]:
    """One row: the model against the best classical method."""
    comparison = compare(truth, factor, "gap", {OURS: lambda thick: restore(model, thick, factor, torch.device("cpu"))})
    rival = comparison.best_classical("psnr_db")
    assert rival is not None
    ours, best = comparison.rows[OURS], comparison.rows[rival]
    gains = {"gain_db": round(ours["psnr_db"] - best["psnr_db"], 3), "ssim_gain": round(ours["ssim"] - best["ssim"], 4)}
    return {"scan": name, "factor": factor, "way": way, "psnr_db": round(ours["psnr_db"], 3), "rival": rival, **gains}


def main() -> None:
    """Print a Markdown table and write JSON."""
    options = _options()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    truths = {}
    for scan in options.scans:
        path, _, thickness = scan.partition("=")
        truths[Path(path).name.split(".")[0]] = read(path, thickness=float(thickness) if thickness else None)
    with tempfile.TemporaryDirectory() as folder:
        thick = Path(folder) / "thick"
        thick.mkdir()
        for name, truth in truths.items():
            write(hold_out(truth, options.factor, "gap")[0], thick / f"{name}.nrrd")
        rows = _learned(options, out, truths, thick, Path(folder) / "cache")
    print("| scan | model | PSNR dB | gain dB | against | SSIM gain |\n| --- | --- | ---: | ---: | --- | ---: |")
    for row in rows:
        print(
            f"| {row['scan']} x{row['factor']} | {row['way']} | {row['psnr_db']:.2f} | {row['gain_db']:+.2f}"
            f" | {row['rival']} | {row['ssim_gain']:+.4f} |"
        )
    content = {"minutes": options.minutes, "adapt": options.adapt, "threads": torch.get_num_threads(), "rows": rows}
    (out / "self_supervised.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _learned(
    options: argparse.Namespace, out: Path, truths: dict[str, Volume], thick: Path, cache: Path
) -> list[dict[str, Any]]:
    order = Order(
        thick,
        out / "cohort.pt",
        cache,
        LoopSettings(minutes=options.minutes, seed=options.seed),
        recipe="anchored",
        preset=options.preset,
        holdout=(NO_HOLDOUT,),
    )
    train_cohort(order, say=print)
    rows = [
        figures(name, truth, options.factor, load(order.out), f"cohort, {options.minutes:g} min")
        for name, truth in truths.items()
    ]
    for name, truth in truths.items() if options.adapt else ():
        own = replace(
            order,
            cohort=thick / f"{name}.nrrd",
            out=out / f"{name}.pt",
            settings=LoopSettings(minutes=options.adapt, seed=options.seed),
            recipe=ADAPTED,
            start=str(order.out),
            adapts=True,
        )
        train_cohort(own, say=print)
        rows.append(figures(name, truth, options.factor, load(own.out), f"... and adapted, {options.adapt:g} min"))
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN[=MM]")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--adapt", type=float, default=4, help="minutes for each scan; 0 for none")
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", default="self_supervised", metavar="FOLDER", help="for the weights and the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
