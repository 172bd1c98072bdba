"""Validation of a model on held-out scans: quickly during training, and thoroughly at the end."""

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
"""Slices, rows and columns used for a validation that takes about a second."""
_MOST_QUICK = 8  # scans
_FEWEST_GAPS = 2
_LARGEST_SIDE = 320  # pixels; largest in-plane size that is evaluated on a single scan


def quick_gain(model: Model, scans: Sequence[TrainingScan], device: torch.device) -> float:
    """Return the mean PSNR gain in dB over 4-point cubic interpolation, in the middle of some scans, at the first factor."""
    gains = []
    for scan in scans[:: max(1, -(-len(scans) // _MOST_QUICK))]:
        factor = factors(model, scan)[0]
        thick, truth = hold_out(scan.volume(middle(scan)), factor, "gap")
        gains.append(gain(model, thick, truth, factor, device))
    return float(np.mean(gains))


def gain(model: Model, thick: Volume, truth: Volume, factor: int, device: torch.device) -> float:
    """Return the PSNR gain in dB over 4-point cubic interpolation."""
    cubic = classical.interpolate_volume(thick, factor, "cubic")
    return _psnr(restore(model, thick, factor, device), truth, factor) - _psnr(cubic, truth, factor)


def contests(scan: TrainingScan) -> list[tuple[int, Volume, Volume]]:
    """Return the possible factors for leaving out slices, x2 first, each with the thick scan and the ground truth."""
    rows, columns = (slice(*_centered_range(have, _LARGEST_SIDE)) for have in scan.voxels.shape[1:])
    volume = scan.volume((slice(None), rows, columns))
    possible = [factor for factor in (2, 4) if len(scan.voxels) > _FEWEST_GAPS * factor]
    return [(factor, *hold_out(volume, factor, "gap")) for factor in possible]


def factors(model: Model, scan: TrainingScan) -> list[int]:
    """Return the factors at which a model is evaluated on a scan: its own, or 2, and 4 if the slices stay close enough."""
    if isinstance(model.recipe, PublishedRecipe):
        return [model.recipe.factor]
    return [2, *([4] if 4 * scan.slice_spacing <= MAX_SPACING and len(scan.voxels) > 4 * _FEWEST_GAPS else [])]


def restore(model: Model, thick: Volume, factor: int, device: torch.device) -> Volume:
    """Restore a thick scan with the model."""
    options = SynthesisOptions(factor=factor, accept_isotropic=True)
    plan = make_plan(thick.grid, thick.voxels.dtype, options, recipe=model.recipe)
    return synthesize(thick, plan, model, device=device).volume


def middle(scan: TrainingScan, largest: tuple[int, int, int] = QUICK) -> tuple[slice, slice, slice]:
    """Return the slices, rows and columns of the middle of a scan."""
    first, second, third = (
        slice(*_centered_range(have, want)) for have, want in zip(scan.voxels.shape, largest, strict=True)
    )
    return first, second, third


def _centered_range(have: int, want: int) -> tuple[int, int]:
    """Return start and stop of the middle `want` out of `have`."""
    start = max(0, (have - want) // 2)
    return start, start + min(have, want)


def _psnr(result: Volume, truth: Volume, factor: int) -> float:
    new = synthesized(truth.grid.slice_count, factor)
    return psnr(slices_first(result)[new] - slices_first(truth)[new])


@dataclass(frozen=True)
class Verdict:
    """Result of the validation of a model.

    Attributes:
        passed: True if it beats the best classical method on every held-out scan; None if there was none.
        sentence: the same as text.
        scans: metrics for each held-out scan and factor, as in `report.as_json`, with the scan's name and the gain.
    """

    passed: bool | None
    sentence: str
    scans: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the model card."""
        return {"passed": self.passed, "sentence": self.sentence, "scans": list(self.scans)}


def judge(
    model: Model,
    scans: Sequence[TrainingScan],
    device: torch.device,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    whole: bool = True,
) -> Verdict:
    """Compare a model with the best classical method on each scan.

    Args:
        model: trained model.
        scans: held-out scans.
        device: compute device.
        whole: evaluate whole scans; otherwise only their middle, which takes seconds.
        progress: called with (stage, done, total).
    """
    contests = [(scan, factor) for scan in scans for factor in factors(model, scan)]
    rows = []
    for done, (scan, factor) in enumerate(contests):
        progress("measure", done, len(contests))
        answer = {OURS: lambda thick, factor=factor: restore(model, thick, factor, device)}
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
    """Return the verdict on rows of `judge`: a model that loses on one scan has failed."""
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
