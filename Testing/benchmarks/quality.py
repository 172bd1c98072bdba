"""Image quality of a model compared with the classical methods, scan by scan.

    python Testing/benchmarks/quality.py SCAN[=THICKNESS_MM] ... [--model NAME|FILE] [--factors 2 3 4 5]
                                         [--profiles gap slab bell] [--told] [--out figures.json]

A scan whose thickness is given is scored with the thickness given, without it and, where it can be estimated from the scan,
with the estimate (which `ctslices increase` uses if the thickness is unknown). Gains are over the best classical method for
each scan, factor and profile; the mean of the coronal and the sagittal view shows what the axial view adds. Figures are
those of `ctslices evaluate`, on synthesized slices only. At x2 and x4, the expected error is compared with the true error, even
texture (gap) with linear interpolation, and thin slices at acquired positions (slab, bell) with the acquired slices.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTSliceSynthesisEngine.evaluation.holdout import compare, hold_out
from CTSliceSynthesisEngine.evaluation.metrics import psnr, slices_first, synthesized, texture
from CTSliceSynthesisEngine.evaluation.stated_error import stated_error_figures
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.synthesis.acquired_slices import profile_averages
from CTSliceSynthesisEngine.synthesis.options import THIN, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.outputs import OUTPUTS
from CTSliceSynthesisEngine.synthesis.pipeline import Result, synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.thickness import estimate_thickness
from CTSliceSynthesisEngine.volume.thinning import PROFILES
from CTSliceSynthesisEngine.volume.volume import Volume

KEPT = ("psnr_db", "ssim", "mae_hu", "texture")
TOLD = "three-view"
UNTOLD, ESTIMATED = (f"{TOLD}, thickness {how}" for how in ("unknown", "estimated"))
SOFT_HU = (-200, 200)
STATED_AT = (2, 4)
"""Factors for which the expected error and even texture are evaluated."""


def restored(model: Model, thick: Volume, factor: int, told: bool, estimate: bool = False, **options: Any) -> Result:
    """Restore a thick scan, with the slice thickness given, estimated or unknown."""
    grid = thick.grid if told else replace(thick.grid, thickness=None)
    plan = make_plan(
        grid,
        thick.voxels.dtype,
        SynthesisOptions(factor=factor, accept_isotropic=True, **options),
        recipe=model.recipe,
        estimated_thickness=estimate_thickness(thick) if estimate else None,
    )
    return synthesize(replace(thick, grid=grid), plan, model, device=torch.device("cpu"))


def rows_of(
    path: str, thickness: float | None, factor: int, profile: str, model: Model, told_alone: bool = False
) -> list[dict[str, Any]]:
    """Return one row for each way to provide the thickness."""
    truth = read(path, thickness=thickness)
    thick, trimmed = hold_out(truth, factor, profile)
    ways = [TOLD] if thickness is not None or profile != "gap" else []
    if not (told_alone and ways):
        ways += [UNTOLD, *([ESTIMATED] if estimate_thickness(thick) else [])]
    first, stated = ways[0], factor in STATED_AT and model.expected_error is not None

    def answered(by: Model, way: str, **options: Any) -> Result:
        return restored(by, thick, factor, way == TOLD, estimate=way == ESTIMATED, **options)

    also = {"outputs": tuple(OUTPUTS) if stated else ()}
    answers = {way: answered(model, way, **(also if way == first else {})) for way in ways}
    comparison = compare(truth, factor, profile, {way: lambda _, w=way: answers[w].volume for way in ways})
    rival = comparison.best_classical("psnr_db")
    rival_ssim = comparison.best_classical("ssim")
    assert rival is not None and rival_ssim is not None
    best, cubic = comparison.rows[rival], comparison.rows["cubic"]
    scan = Path(path).name.split(".")[0]
    planes = replace(model, fusion=(0.0, 0.5, 0.5))
    new = synthesized(trimmed.grid.slice_count, factor)

    def psnr_of(result: Result) -> float:
        return round(psnr((slices_first(result.volume) - slices_first(trimmed))[new]), 4)

    rows: list[dict[str, Any]] = [
        {
            "scan": scan,
            "factor": factor,
            "profile": profile,
            "way": way,
            **{key: round(figures[key], 4) for key in KEPT},
            "best_classical": rival,
            "gain_db": round(figures["psnr_db"] - best["psnr_db"], 3),
            "ssim_gain": round(figures["ssim"] - comparison.rows[rival_ssim]["ssim"], 4),
            "bias_hu": biases(figures, "bias_"),
            "cubic_bias_hu": biases(cubic, "bias_"),
            "region_bias_hu": biases(figures, "region_bias_"),
            "cubic_region_bias_hu": biases(cubic, "region_bias_"),
            "acquired_max_error_hu": figures["acquired_max_error_hu"],
        }
        for way, figures in ((way, comparison.rows[way]) for way in ways)
    ]
    rows[0]["without_axial_psnr_db"] = psnr_of(answered(planes, first))
    if stated:
        rows[0]["expected_error"] = stated_error_figures(trimmed, thick, answers[first], factor)
    if factor in STATED_AT and profile == "gap":
        evened = answered(model, first, texture="even")
        rows[0]["even_texture"] = {
            "psnr_db": psnr_of(evened),
            "linear_psnr_db": round(comparison.rows["linear"]["psnr_db"], 4),
            "texture": round(texture(slices_first(evened.volume), factor), 4),
        }
    if factor in STATED_AT and profile != "gap":
        rows[0]["acquired"] = thinned(model, thick, trimmed, factor)
    return rows


def thinned(model: Model, thick: Volume, truth: Volume, factor: int) -> dict[str, float]:
    """Compare thin slices at the acquired positions with the truth (PSNR), and their averages with the acquired slices (HU)."""
    found = slices_first(restored(model, thick, factor, True, acquired=THIN).volume)
    kept, true = slices_first(thick), slices_first(truth)[::factor]
    soft = (kept > SOFT_HU[0]) & (kept < SOFT_HU[1])
    off = np.abs(profile_averages(found.astype(np.float32), factor, factor) - kept)[soft]
    return {
        "kept_psnr_db": round(psnr(kept - true), 4),
        "thin_psnr_db": round(psnr(found[::factor] - true), 4),
        "agrees_to_hu": round(float(off.mean()), 2),
    }


def biases(figures: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return mean errors by tissue: the figures whose names start with `prefix`."""
    return {
        key.removeprefix(prefix).removesuffix("_hu"): round(value, 2)
        for key, value in figures.items()
        if key.startswith(prefix)
    }


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN[=MM]")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--factors", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--profiles", nargs="+", default=["gap"], choices=PROFILES)
    parser.add_argument("--told", action="store_true", help="only with the thickness given")
    parser.add_argument("--out")
    options = parser.parse_args()
    model, rows = load(options.model), []
    heads = f"{'PSNR dB':>9s}  {'gain':>6s}  {'(against)':10s} {'SSIM gain':>9s} {'axial dB':>9s} {'texture':>8s}"
    print(f"{'scan':25s} {'x':2s} {'':5s} {'way':30s} {heads}")
    for scan in options.scans:
        path, _, thickness = scan.partition("=")
        for profile in options.profiles:
            for factor in options.factors:
                for row in rows_of(path, float(thickness) if thickness else None, factor, profile, model, options.told):
                    rows.append(row)
                    axial = row["psnr_db"] - row.get("without_axial_psnr_db", math.nan)
                    print(
                        f"{row['scan']:25s} x{factor} {profile:5s} {row['way']:30s} {row['psnr_db']:9.2f}"
                        f"  {row['gain_db']:+6.2f}  ({row['best_classical']:8s}) {row['ssim_gain']:+9.4f}"
                        f" {axial:+9.4f} {row['texture']:8.2f}",
                        flush=True,
                    )
    if options.out:
        content = {"model": model.name, "sha256": model.sha256, "rows": rows}
        Path(options.out).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
