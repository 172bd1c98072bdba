"""How many HU a synthesized voxel is likely to be wrong: a calibrated figure, not a wish.

The three views differ where a voxel is hard to tell, and so do the two acquired slices next to it; where slices bend, a
line between them misses most; noise within the slices is noise that no method can foresee. None alone says how large the
error is, and all grow with it:

    log E = c . (1, D, G, D G, D^2, G^2, N, P, T, S, B, B^2, B D, B G, U, U^2, K)

    D  log of the views' disagreement       G  log of the difference of the two acquired slices
    B  log of the larger second difference of the four acquired slices around the gap
    N  log of the noise within the two      P  log of 4 t (1 - t), for the place t in the gap
    S  log of the slice spacing in mm       T  log of slice thickness over slice spacing: slices that overlap foretell more
    U  what lies there: 0 for air, 1 for soft tissue and more
    K  1 for slices that touch, or overlap, else 0

D, G, B, N and U are means over 5 x 5 pixels, HU. The numbers c are fitted to true errors on scans of the cohort, and travel
with the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .local_mean import local_mean
from .recipes import TOUCHING

AROUND = 5
"""Pixels across of the neighbourhood that a statement holds for."""

TERMS = 17
"""Numbers of a calibration."""

MOST_HU = 4095.0
"""The 12-bit range: no answer can be farther from the truth."""

_SOFT_HU = 1024.0  # soft tissue, counted from -1024
_QUIET_HU = 2.0  # added before a logarithm: below it, differences say nothing


@dataclass(frozen=True)
class ExpectedError:
    """A calibration.

    Attributes:
        coefficients: the TERMS numbers c, in the order of the module's formula.
    """

    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.coefficients) != TERMS or not all(map(math.isfinite, self.coefficients)):
            raise ValueError(f"an error calibration has {TERMS} finite numbers, not {self.coefficients}")

    def __call__(self, seen: Iterable[Tensor]) -> Tensor:
        """Expected absolute error in HU, from `parts` or `terms`; at most MOST_HU, where metal is off any scale."""
        total = torch.zeros(())
        for coefficient, term in zip(self.coefficients, seen, strict=True):
            total = torch.add(total, term, alpha=coefficient)
        return total.exp_().clamp_(max=MOST_HU)


def terms(*told: Any) -> Tensor:
    """`parts` in one tensor, (TERMS, P, H, W) float32."""
    return torch.stack(torch.broadcast_tensors(*parts(*told)))  # type: ignore[no-untyped-call]


@torch.inference_mode()
def parts(
    disagreement: Tensor, neighbours: Tensor, positions: Sequence[float], slice_spacing: float, thickness: float | None
) -> list[Tensor]:
    """What is seen of the new slices in one gap.

    Args:
        disagreement: (P, H, W) of the views, HU.
        neighbours: (4, H, W) the acquired slices around the gap, HU counted from -1024.
        positions: P places of the new slices between the two middle ones, in (0, 1).
        slice_spacing: of the acquired slices, mm.
        thickness: of the acquired slices, mm; None where unknown, which reads as touching slices.

    Returns:
        The TERMS of the formula, float32, each of a shape that stands for (P, H, W).
    """
    steps = neighbours.diff(dim=0)
    pair = neighbours[1:3]
    below, above = local_mean(pair, AROUND)
    spread = _log(local_mean(disagreement, AROUND))
    difference = _log(local_mean(steps[1].abs(), AROUND))
    bend = _log(local_mean(steps.diff(dim=0).abs(), AROUND).amax(0))
    noise = _log(local_mean((pair - local_mean(pair, 3)).abs(), AROUND).mean(0))
    content = torch.stack([torch.lerp(below, above, t) for t in positions]).div_(_SOFT_HU).clamp_(0, 1.2)
    place = torch.tensor([math.log(4 * t * (1 - t)) for t in positions], device=spread.device)[:, None, None]
    share = (thickness or slice_spacing) / slice_spacing
    constants = 1.0, math.log(share), math.log(slice_spacing), float(share >= TOUCHING)
    one, shares, spacing, touching = (torch.tensor(value, device=spread.device) for value in constants)
    return [
        one, spread, difference, spread * difference, spread**2, difference**2,
        noise, place, shares, spacing,
        bend, bend**2, bend * spread, bend * difference,
        content, content**2, touching,
    ]  # fmt: skip


def _log(hu: Tensor) -> Tensor:
    return hu.add(_QUIET_HU).log_()


def fit(seen: Tensor, errors: Tensor, weights: Tensor, rounds: int = 30) -> ExpectedError:
    """The calibration whose stated errors agree with true ones.

    A generalized linear model with a logarithmic link and a spread that grows with the mean (gamma), by iterated least
    squares: McCullagh and Nelder, Generalized Linear Models, 1989, sections 2.5 and 8.2. Its stated errors add up to the
    true ones over any group of voxels that its terms can tell apart.

    Args:
        seen: (TERMS, N) terms of N voxels.
        errors: (N,) true absolute errors, HU.
        weights: (N,) how much each counts.
        rounds: at most.
    """
    matrix, errors, weights = seen.T.double(), errors.double(), weights.double()
    scale = weights.sqrt()[:, None]
    found = torch.zeros(TERMS, dtype=torch.float64)
    found[0] = torch.log((errors * weights).sum() / weights.sum())
    for _ in range(rounds):
        stated = (matrix @ found).exp()
        residual = ((errors - stated) / stated)[:, None]
        # gelsd: terms that do not vary in a cohort (one spacing, one thickness) leave the system singular
        step = torch.linalg.lstsq(matrix * scale, residual * scale, driver="gelsd").solution[:, 0]
        found += step
        if step.abs().max() < 1e-8:
            break
    return ExpectedError(tuple(found.tolist()))
