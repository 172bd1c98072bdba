"""A model's expected error, held against the scan it is asked of.

How large errors are differs from scan to scan, by reconstruction kernel and dose, more than what is seen around a voxel
tells. But every scan holds slices whose truth is known, its own: with every second one left out, the rest restores them,
and what is stated there is compared with what is true. Half of what is found, on the scale of logarithms, is carried over
to the new slices: those lie half as far from their neighbours. (On scans left out of a calibration, a third to a half told
their errors best; `Testing/benchmarks/calibrate.py --leave-one-out` shows how well.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..networks.checkpoint import Model
from ..networks.expected_error import ExpectedError, in_body
from ..volume.intensity import HU_MAX, HU_MIN, UNIT_HU, to_hu
from . import predict, view_fusion
from .error_volume import expected_errors
from .plan import Plan, output_thickness
from .predict import Progress, Say
from .stack import UnitStack, guarded

_CARRIED_OVER = 0.5  # of the logarithm of true over stated
_MOST_GAPS = 8  # restored, evenly spread over the scan
_FEWEST_SLICES = 5  # left-out slices of fewer lie between extrapolated ones
_FEWEST_PIXELS = 1000  # that an average may rest on
_LEAST_HU = 0.1  # voxels that no error is found in, as in a phantom without noise, do not make all errors nothing


def scan_calibration(
    model: Model,
    slices: np.ndarray,
    plan: Plan,
    device: torch.device | None,
    progress: Progress,
    say: Say,
) -> ExpectedError | None:
    """The model's calibration, for this scan.

    Args:
        model: calibrated; without a calibration there is none.
        slices: (D, H, W) the acquired slices, as stored.
        plan: of the run.
        device, progress, say: as in `pipeline.synthesize`.

    Returns:
        The model's own where the scan has too few slices, or the model cannot restore every second one.
    """
    known = model.expected_error
    if known is None or len(slices) < _FEWEST_SLICES or not model.recipe.supports(2):
        return known
    kept = slices[::2]
    stack, thinned = UnitStack(kept), _thinned(plan)
    predictor = predict.predictor(model, stack, thinned, device, progress, say)
    stated_hu = true_hu = pixels = 0.0
    for gap in _spread_out(stack.gaps):
        progress("synthesize", 0, len(slices) - 1)  # so that a run can be canceled
        answers = predictor(gap, gap + 1, [0.5])
        differing = view_fusion.disagreement(answers).cpu() * UNIT_HU
        stated = expected_errors(known, differing, stack.around(gap, gap + 1), [0.5], thinned)[0, 0]
        hu = to_hu(view_fusion.fuse(answers, model.fusion).cpu().numpy())
        restored = guarded(np.clip(hu, HU_MIN, HU_MAX), kept, gap, [0.5])[0, 0]
        three = slices[2 * gap : 2 * gap + 3].astype(np.float32)
        body = _measured(three)
        stated_hu += float(stated[body].sum())
        true_hu += float(np.abs(restored - three[1])[body].sum())
        pixels += int(body.sum())
    if pixels < _FEWEST_PIXELS:
        return known
    least = _LEAST_HU * pixels
    return known.times((max(true_hu, least) / max(stated_hu, least)) ** _CARRIED_OVER)


def _thinned(plan: Plan) -> Plan:
    """The plan that restores every second slice."""
    grid = plan.grid.coarsened(2)
    return replace(plan, grid=grid, output_grid=grid.refined(2), factor=2, output_thickness=output_thickness(grid, 2))


def _measured(three: np.ndarray) -> np.ndarray:
    """Which pixels of the middle one of three slices count: in the body, and neither padding nor metal in any."""
    held = np.clip(three, HU_MIN, HU_MAX)
    measured: np.ndarray = (held == three).all(axis=0) & in_body(torch.from_numpy(held[1])).numpy()
    return measured


def _spread_out(gaps: int) -> list[int]:
    """Up to _MOST_GAPS gaps; the outer two, which see an extrapolated slice, only where there are no others."""
    inner = range(1, gaps - 1) if gaps > 2 else range(gaps)
    return sorted({inner[round(place)] for place in np.linspace(0, len(inner) - 1, min(_MOST_GAPS, len(inner)))})
