"""Calibrates the expected error of a model on left-out slices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...evaluation.holdout import hold_out
from ...evaluation.metrics import slices_first
from ...networks.checkpoint import Model
from ...networks.expected_error import ExpectedError, fit, in_body, terms
from ...synthesis.options import SynthesisOptions
from ...synthesis.outputs import DISAGREEMENT
from ...synthesis.pipeline import synthesize
from ...synthesis.plan import make_plan
from ...synthesis.stack import UnitStack
from ...volume.intensity import UNIT_HU
from ...volume.thinning import PROFILES
from ...volume.volume import Volume
from ..scans.crops import largest_factor
from ..scans.scan import TrainingScan

_WINDOW = 224  # pixels across
_RIM = 36  # border pixels that are excluded, since the window's edge affects networks and wide means
_GAPS = 6  # of a window; the outer two are excluded, since few gaps of a scan lack a neighbor
_PIXELS = 4000  # sampled per window
_WINDOWS = 24  # per scan, if there are few scans
_MOST_WINDOWS = 144  # of all scans
_SHARES = (0.5, 0.3, 0.2)  # fraction of windows for each of PROFILES


@torch.no_grad()
def fit_expected_error(model: Model, scans: list[TrainingScan], seed: int) -> ExpectedError | None:
    """Calibrate the expected error on windows of the scans, at many factors and all profiles.

    Windows are thinned out and restored by the normal pipeline, and weighted by their body fraction.

    Args:
        model: trained model with fusion weights.
        scans: scans to calibrate on, usually the training scans.
        seed: seed of the windows.

    Returns:
        The calibration; None if the scans contain only air.
    """
    rng = np.random.default_rng([seed, 2])
    seen, errors, weights = [], [], []
    for number in range(min(_MOST_WINDOWS, _WINDOWS * len(scans))):
        thick, truth, factor = _draw_window(rng, scans[number % len(scans)])
        found, wrong, inside = _compare(model, thick, truth, factor)
        body = inside.nonzero()[:, 0].numpy()
        counted = torch.from_numpy(rng.choice(body, min(_PIXELS, len(body)), replace=False))
        seen.append(found[:, counted])
        errors.append(wrong[counted])
        weights.append(torch.full((len(counted),), len(body) / len(inside) / max(1, len(counted))))
    every = torch.cat(weights)
    return fit(torch.cat(seen, dim=1), torch.cat(errors), every) if len(every) else None


def _draw_window(rng: np.random.Generator, scan: TrainingScan) -> tuple[Volume, Volume, int]:
    """Draw a window of a scan; return it thinned out, its ground truth, and the factor."""
    factor = int(rng.integers(2, largest_factor(scan) + 1))
    profile = PROFILES[int(rng.choice(len(PROFILES), p=_SHARES))]
    sizes = min(len(scan.voxels), _GAPS * factor + 1), _WINDOW, _WINDOW
    starts = (
        int(rng.integers(0, max(0, have - want) + 1)) for have, want in zip(scan.voxels.shape, sizes, strict=True)
    )
    slices, rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    thick, truth = hold_out(scan.volume((slices, rows, columns)), factor, profile)
    return thick, truth, factor


def _compare(model: Model, thick: Volume, truth: Volume, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for the new pixels of the scored gaps: terms (1 + TERMS, N), absolute error in HU (N,), and a mask (N,)."""
    options = SynthesisOptions(factor=factor, outputs=(DISAGREEMENT,), accept_isotropic=True)
    plan = make_plan(thick.grid, thick.voxels.dtype, options, recipe=model.recipe)
    device = next(model.networks.parameters()).device
    result = synthesize(thick, plan, model, device=device)
    true, answered, spread = (
        torch.from_numpy(slices_first(volume)) for volume in (truth, result.volume, result.outputs[DISAGREEMENT])
    )
    stack, positions = UnitStack(slices_first(thick)), [step / factor for step in range(1, factor)]
    seen, wrong, inside = [], [], []
    counted = range(1, stack.gaps - 1) if stack.gaps > 2 else range(stack.gaps)
    for gap in counted:
        new = slice(gap * factor + 1, (gap + 1) * factor)
        around = torch.from_numpy(stack.around(gap, gap + 1)) * UNIT_HU
        seen.append(terms(spread[new], around, positions, plan.relative_spacing, plan.thinning).flatten(1))
        wrong.append((answered[new] - true[new]).abs().flatten())
        inside.append(_inside(true[new]).flatten())
    return torch.cat(seen, dim=1), torch.cat(wrong), torch.cat(inside)


def _inside(slices: Tensor) -> Tensor:
    """Return the mask of scored pixels: inside the border, and not in the air around the patient."""
    rows, columns = (min(_RIM, size // 4) for size in slices.shape[-2:])
    inside = torch.zeros(slices.shape, dtype=torch.bool)
    inside[..., rows:-rows, columns:-columns] = True
    return inside & in_body(slices)
