"""How good a model is on scans it does not learn from: quickly while it trains, and thoroughly at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...evaluation import report
from ...evaluation.holdout import Comparison, compare, hold_out
from ...evaluation.metrics import psnr, slices_first, synthesized
from ...networks.checkpoint import Model
from ...networks.recipes import PublishedRecipe
from ...synthesis import classical
from ...synthesis.options import SynthesisOptions
from ...synthesis.pipeline import synthesize
from ...synthesis.plan import make_plan
from ...volume.volume import Volume
from ..scans.crops import MAX_SPACING
from ..scans.scan import TrainingScan

OURS = "three-view"

QUICK = (33, 192, 192)
"""Slices, rows and columns that are measured where an answer is wanted in a second."""
_MOST_QUICK = 8  # scans
_FEWEST_GAPS = 2
_LARGEST_SIDE = 320  # pixels, of what is measured of a single scan


def quick_gain(model: Model, scans: Sequence[TrainingScan], device: torch.device) -> float:
    """Mean gain in dB of PSNR over 4-point cubic interpolation, in the middle of some scans, at the first factor."""
    gains = []
    for scan in scans[:: max(1, -(-len(scans) // _MOST_QUICK))]:
        factor = factors(model, scan)[0]
        thick, truth = hold_out(scan.volume(middle(scan)), factor, "gap")
        gains.append(gain(model, thick, truth, factor, device))
    return float(np.mean(gains))


def gain(model: Model, thick: Volume, truth: Volume, factor: int, device: torch.device) -> float:
    """dB of PSNR over 4-point cubic interpolation."""
    cubic = classical.interpolate_volume(thick, factor, "cubic")
    return _psnr(restored(model, thick, factor, device), truth, factor) - _psnr(cubic, truth, factor)


def contests(scan: TrainingScan) -> list[tuple[int, Volume, Volume]]:
    """Factors that slices of a scan can be left out at, x2 first, with the thick scan and the truth: whole slices."""
    rows, columns = (slice(*_centred(have, _LARGEST_SIDE)) for have in scan.voxels.shape[1:])
    volume = scan.volume((slice(None), rows, columns))
    able = [factor for factor in (2, 4) if len(scan.voxels) > _FEWEST_GAPS * factor]
    return [(factor, *hold_out(volume, factor, "gap")) for factor in able]


def factors(model: Model, scan: TrainingScan) -> list[int]:
    """At which factors a model is measured on a scan: its own, or 2, and 4 where that leaves slices near enough."""
    if isinstance(model.recipe, PublishedRecipe):
        return [model.recipe.factor]
    return [2, *([4] if 4 * scan.slice_spacing <= MAX_SPACING and len(scan.voxels) > 4 * _FEWEST_GAPS else [])]


def restored(model: Model, thick: Volume, factor: int, device: torch.device) -> Volume:
    """The model's answer to a thick scan."""
    options = SynthesisOptions(factor=factor, accept_isotropic=True)
    plan = make_plan(thick.grid, thick.voxels.dtype, options, recipe=model.recipe)
    return synthesize(thick, plan, model, device=device).volume


def middle(scan: TrainingScan, largest: tuple[int, int, int] = QUICK) -> tuple[slice, slice, slice]:
    """Slices, rows and columns of the middle of a scan."""
    first, second, third = (slice(*_centred(have, want)) for have, want in zip(scan.voxels.shape, largest, strict=True))
    return first, second, third


def _centred(have: int, want: int) -> tuple[int, int]:
    """First and last + 1 of the middle `want` out of `have`."""
    start = max(0, (have - want) // 2)
    return start, start + min(have, want)


def _psnr(result: Volume, truth: Volume, factor: int) -> float:
    new = synthesized(truth.grid.slice_count, factor)
    return psnr(slices_first(result)[new] - slices_first(truth)[new])


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be used.

    Attributes:
        passed: True if it beats the best classical method on every held-out scan; None if there was none.
        sentence: the same in words.
        scans: figures for each held-out scan and factor, as in `report.as_json`, with the scan's name and the gain.
    """

    passed: bool | None
    sentence: str
    scans: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the model card."""
        return {"passed": self.passed, "sentence": self.sentence, "scans": list(self.scans)}


def judge(
    model: Model,
    scans: Sequence[TrainingScan],
    device: torch.device,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    whole: bool = True,
) -> Verdict:
    """Measure a model on scans, against the best classical method on each.

    Args:
        model: trained.
        scans: held out.
        device: where to compute.
        whole: measure whole scans; else their middle, for an answer in seconds.
        progress: told (stage, done, total).
    """
    contests = [(scan, factor) for scan in scans for factor in factors(model, scan)]
    rows = []
    for done, (scan, factor) in enumerate(contests):
        progress("measure", done, len(contests))
        answer = {OURS: lambda thick, factor=factor: restored(model, thick, factor, device)}
        truth = scan.volume() if whole else scan.volume(middle(scan))
        rows.append(_row(scan.name, compare(truth, factor, "gap", answer)))
    progress("measure", len(contests), len(contests))
    return verdict_of(rows)


def _row(scan: str, comparison: Comparison) -> dict[str, Any]:
    rival = comparison.best_classical("psnr_db")
    assert rival is not None
    gain = comparison.rows[OURS]["psnr_db"] - comparison.rows[rival]["psnr_db"]
    return {"scan": scan, "gain_db": round(gain, 3), "rival": rival, **report.as_json(comparison)}


def verdict_of(rows: Sequence[dict[str, Any]]) -> Verdict:
    """The verdict on figures of `judge`: a model that loses on one scan has failed."""
    if not rows:
        return Verdict(None, "Not measured: no scan was held out. Measure it on a scan before you use it.")
    lost = [row for row in rows if not row["gain_db"] > 0]
    if lost:
        listed = ", ".join(f"{row['scan']} at x{row['factor']} ({row['gain_db']:+.2f} dB)" for row in lost)
        return Verdict(False, f"Failed: it does not beat the best classical method on {listed}.", tuple(rows))
    least = min(row["gain_db"] for row in rows)
    names = len({row["scan"] for row in rows})
    where = "the scan it was measured on" if names == 1 else f"each of the {names} scans it was measured on"
    sentence = f"Passed: at least {least:+.2f} dB over the best classical method on {where}."
    return Verdict(True, sentence, tuple(rows))
