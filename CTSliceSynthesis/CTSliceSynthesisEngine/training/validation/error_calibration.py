"""How large the errors of a model are, by what is seen of a voxel: fitted where slices were left out."""

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
_RIM = 36  # pixels of it that are not counted: networks and wide means see the window's edge
_GAPS = 6  # of a window; the outer two are not counted, for most scans have few gaps that lack a neighbour
_PIXELS = 4000  # counted in each window
_WINDOWS = 24  # of a scan, where few are there
_MOST_WINDOWS = 144  # of all scans
_SHARES = (0.5, 0.3, 0.2)  # of windows, for each of PROFILES


@torch.no_grad()
def fit_expected_error(model: Model, scans: list[TrainingScan], seed: int) -> ExpectedError | None:
    """Calibrate the expected error on windows of the scans, at many factors and all profiles.

    The windows are thinned out and restored by the very code that restores scans. Each counts by how much of it is body.

    Args:
        model: trained, its fusion weights known.
        scans: to measure it on, as a rule those that it learned from.
        seed: of the windows.

    Returns:
        None where the scans hold nothing but air.
    """
    rng = np.random.default_rng([seed, 2])
    seen, errors, weights = [], [], []
    for number in range(min(_MOST_WINDOWS, _WINDOWS * len(scans))):
        thick, truth, factor = _drawn(rng, scans[number % len(scans)])
        found, wrong, inside = _compared(model, thick, truth, factor)
        body = inside.nonzero()[:, 0].numpy()
        counted = torch.from_numpy(rng.choice(body, min(_PIXELS, len(body)), replace=False))
        seen.append(found[:, counted])
        errors.append(wrong[counted])
        weights.append(torch.full((len(counted),), len(body) / len(inside) / max(1, len(counted))))
    every = torch.cat(weights)
    return fit(torch.cat(seen, dim=1), torch.cat(errors), every) if len(every) else None


def _drawn(rng: np.random.Generator, scan: TrainingScan) -> tuple[Volume, Volume, int]:
    """A window of a scan, thinned out, and its truth; and the factor between them."""
    factor = int(rng.integers(2, largest_factor(scan) + 1))
    profile = PROFILES[int(rng.choice(len(PROFILES), p=_SHARES))]
    sizes = min(len(scan.voxels), _GAPS * factor + 1), _WINDOW, _WINDOW
    starts = (
        int(rng.integers(0, max(0, have - want) + 1)) for have, want in zip(scan.voxels.shape, sizes, strict=True)
    )
    slices, rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    thick, truth = hold_out(scan.volume((slices, rows, columns)), factor, profile)
    return thick, truth, factor


def _compared(model: Model, thick: Volume, truth: Volume, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each new pixel of the gaps that count: terms (1 + TERMS, N), absolute error in HU (N,), and whether it counts (N,)."""
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
    """Which pixels count: those within the rim that do not lie in the air around the patient."""
    rows, columns = (min(_RIM, size // 4) for size in slices.shape[-2:])
    inside = torch.zeros(slices.shape, dtype=torch.bool)
    inside[..., rows:-rows, columns:-columns] = True
    return inside & in_body(slices)
