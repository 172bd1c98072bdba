"""Adapt a model's expected error to the scan at hand.

Errors differ between scans, with reconstruction kernel and dose, by more than local image features explain. But every scan
contains ground truth, its own slices: every second one is left out and restored from the rest, and the stated errors are
compared with the true ones. Half of the log ratio is applied to the new slices, which lie half as far from their neighbors.
(On scans left out of a calibration, a third to a half predicted their errors best;
`Testing/benchmarks/calibrate.py --leave-one-out` measures it.)
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
from .stack import UnitStack, suppress_ringing

_LOG_RATIO_WEIGHT = 0.5  # applied to the logarithm of true over stated error
_MOST_GAPS = 8  # number of restored slices, evenly spread over the scan
_FEWEST_SLICES = 5  # with fewer, left-out slices would lie between extrapolated ones
_FEWEST_PIXELS = 1000  # for a reliable average
_LEAST_HU = 0.1  # lower limit, so that error-free voxels, as in a noise-free phantom, do not scale all errors to zero


def scan_calibration(
    model: Model,
    slices: np.ndarray,
    plan: Plan,
    device: torch.device | None,
    progress: Progress,
    say: Say,
) -> ExpectedError | None:
    """Return the model's error calibration adapted to this scan.

    Args:
        model: if it has no calibration, None is returned.
        slices: (D, H, W) the acquired slices, as stored.
        plan: of the run.
        device, progress, say: as in `pipeline.synthesize`.

    Returns:
        The model's own calibration if the scan has too few slices or the model does not support factor 2.
    """
    calibration = model.expected_error
    if calibration is None or len(slices) < _FEWEST_SLICES or not model.recipe.supports(2):
        return calibration
    every_second = slices[::2]
    stack, coarse_plan = UnitStack(every_second), _coarse_plan(plan)
    predictor = predict.make_predictor(model, stack, coarse_plan, device, progress, say)
    stated_hu = true_hu = pixels = 0.0
    for gap in _spread_out(stack.gaps):
        progress("synthesize", 0, len(slices) - 1)  # so that a run can be canceled
        predictions = predictor(gap, gap + 1, [0.5])
        disagreement = view_fusion.disagreement(predictions).cpu() * UNIT_HU
        stated = expected_errors(calibration, disagreement, stack.around(gap, gap + 1), [0.5], coarse_plan)[0, 0]
        hu = to_hu(view_fusion.fuse(predictions, model.fusion).cpu().numpy())
        restored = suppress_ringing(np.clip(hu, HU_MIN, HU_MAX), every_second, gap, [0.5])[0, 0]
        triple = slices[2 * gap : 2 * gap + 3].astype(np.float32)
        body = _evaluated_pixels(triple)
        stated_hu += float(stated[body].sum())
        true_hu += float(np.abs(restored - triple[1])[body].sum())
        pixels += int(body.sum())
    if pixels < _FEWEST_PIXELS:
        return calibration
    floor = _LEAST_HU * pixels
    return calibration.times((max(true_hu, floor) / max(stated_hu, floor)) ** _LOG_RATIO_WEIGHT)


def _coarse_plan(plan: Plan) -> Plan:
    """Return the plan for restoring every second slice."""
    grid = plan.grid.coarsened(2)
    return replace(plan, grid=grid, output_grid=grid.refined(2), factor=2, output_thickness=output_thickness(grid, 2))


def _evaluated_pixels(triple: np.ndarray) -> np.ndarray:
    """Return the pixels of the middle of three slices to evaluate: in the body, no padding or metal in any slice."""
    clipped = np.clip(triple, HU_MIN, HU_MAX)
    mask: np.ndarray = (clipped == triple).all(axis=0) & in_body(torch.from_numpy(clipped[1])).numpy()
    return mask


def _spread_out(gaps: int) -> list[int]:
    """Return up to _MOST_GAPS gaps; the outer two, which use an extrapolated slice, only if there are no others."""
    inner = range(1, gaps - 1) if gaps > 2 else range(gaps)
    return sorted({inner[round(position)] for position in np.linspace(0, len(inner) - 1, min(_MOST_GAPS, len(inner)))})
