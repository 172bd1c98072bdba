"""How many HU a synthesized voxel is likely to be wrong: a calibrated figure, not a wish.

The three views differ where a voxel is hard to tell, and so do the two acquired slices next to it; where slices bend, a
line between them misses most; noise within the slices is noise that no method can foresee. None alone says how large the
error is, and all grow with it. They are compared, not counted: where all that is seen is twice as large, as in a scan of
twice the noise, the error is twice as large too.

    log E = G + c . (1, x, the products of each two of x, P, S, T, T (N - G))        x = (D, B, N, D', G', B', N') - G

    G  log of the difference of the two acquired slices     D  log of the views' disagreement
    N  log of the noise within the two                      P  log of 4 t (1 - t), for the place t in the gap
    B  log of the larger second difference of the four acquired slices around the gap
    S  log of the slice spacing over the new slices' thickness: slices that overlap share what the new ones show
    T  log of the slice thickness over that of the new slices: averages are quieter than what they are made thinner to
    '  the same in a wide neighbourhood: near by, chance makes some voxels look quieter than they are

D, G, B and N are means over 5 x 5 pixels, HU, and over 31 x 31 of those. The numbers c are fitted to true errors on scans of
the cohort, and travel with the weights. Spacing in mm and tissue are not told: in a cohort of a few scans they would name
the scan rather than its errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from .local_mean import local_mean

AROUND = 5
"""Pixels across of the neighbourhood that a statement holds for."""

WIDE = 31
"""Pixels across of the neighbourhood that it is compared with."""

_RATIOS = 7

TERMS = 1 + _RATIOS + _RATIOS * (_RATIOS + 1) // 2 + 4
"""Numbers of a calibration."""

MOST_HU = 4095.0
"""The 12-bit range: no answer can be farther from the truth."""

_AIR_HU = -950  # a mean over _BODY_AROUND pixels below it is air around the patient, of which nobody wants to know
_BODY_AROUND = 15
_QUIET_HU = 2.0  # added before a logarithm: below it, differences say nothing
_NEAREST = 0.1  # of a gap: nearer to an acquired slice, the place tells no more
_RIDGE = 1e-3  # of a term's variance
_LEAST_VARIANCE = 1e-6  # so that a term that never varies does not leave the system without a solution


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
        total, *others = seen
        for coefficient, term in zip(self.coefficients, others, strict=True):
            total = torch.add(total, term, alpha=coefficient)
        return total.exp().clamp_(max=MOST_HU)

    def times(self, ratio: float) -> ExpectedError:
        """The calibration that states `ratio` times these errors."""
        constant, *others = self.coefficients
        return ExpectedError((constant + math.log(ratio), *others))


def terms(
    disagreement: Tensor, neighbours: Tensor, positions: Sequence[float], apart: float, thinner: float = 1.0
) -> Tensor:
    """`parts` in one tensor, (1 + TERMS, P, H, W) float32."""
    seen = parts(disagreement, neighbours, positions, apart, thinner)
    return torch.stack(torch.broadcast_tensors(*seen))  # type: ignore[no-untyped-call]


@torch.inference_mode()
def parts(
    disagreement: Tensor, neighbours: Tensor, positions: Sequence[float], apart: float, thinner: float = 1.0
) -> list[Tensor]:
    """What is seen of the new slices in one gap.

    Args:
        disagreement: (P, H, W) of the views, HU.
        neighbours: (4, H, W) the acquired slices around the gap, HU counted from anywhere.
        positions: P places of the new slices between the two middle ones, from 0 to 1.
        apart: slice spacing over the new slices' thickness, see `Plan.relative_spacing`.
        thinner: thickness of the acquired slices over that of the new ones, see `Plan.thinning`.

    Returns:
        G and the TERMS of the formula, float32, each of a shape that stands for (P, H, W).
    """
    steps, pair = neighbours.diff(dim=0), neighbours[1:3]
    noise = (pair - local_mean(pair, 3)).abs_().mean(0, keepdim=True)
    near = local_mean(torch.cat([disagreement, steps[1:2].abs(), steps.diff(dim=0).abs(), noise]), AROUND)
    (spread, difference, *others), wide = _logs(near), _logs(local_mean(near, WIDE))
    ratios = [seen - difference for seen in (spread, *others, *wide)]
    products = [first * second for first, second in combinations_with_replacement(ratios, 2)]
    inside = [min(max(t, _NEAREST), 1 - _NEAREST) for t in positions]
    place = torch.tensor([math.log(4 * t * (1 - t)) for t in inside], device=spread.device)[:, None, None]
    one = torch.ones((), device=spread.device)
    averaged = one * math.log(thinner)
    return [difference, one, *ratios, *products, place, one * math.log(apart), averaged, averaged * ratios[2]]


def in_body(slices: Tensor) -> Tensor:
    """Which pixels of slices (..., H, W) in HU errors are told of: all but the air around the patient."""
    return local_mean(slices, _BODY_AROUND) > _AIR_HU


def _logs(sizes: Tensor) -> list[Tensor]:
    """D (P, H, W), and G, B, N (1, H, W), of means over a neighbourhood: of the disagreement, of the difference, of both
    second differences and of the noise."""
    logs = sizes.add(_QUIET_HU).log_()
    return [logs[:-4], logs[-4:-3], logs[-3:-1].amax(0, keepdim=True), logs[-1:]]


def fit(seen: Tensor, errors: Tensor, weights: Tensor, rounds: int = 30) -> ExpectedError:
    """The calibration whose stated errors agree with true ones.

    A generalized linear model with a logarithmic link and a spread that grows with the mean (gamma), by iterated least
    squares: McCullagh and Nelder, Generalized Linear Models, 1989, sections 2.5 and 8.2. Its stated errors add up to the
    true ones over any group of voxels that its terms can tell apart, but for a faint pull towards none (a ridge), which
    decides where terms hardly vary in a cohort.

    Args:
        seen: (1 + TERMS, N) terms of N voxels, G first.
        errors: (N,) true absolute errors, HU.
        weights: (N,) how much each counts.
        rounds: at most.
    """
    size, matrix, errors, weights = seen[0].double(), seen[1:].T.double(), errors.double(), weights.double()
    weighted = (matrix * (weights / weights.sum())[:, None]).T
    pull = torch.diag(_RIDGE * (matrix.var(0) + _LEAST_VARIANCE))
    pull[0] = 0.0  # the constant is free
    found = torch.zeros(TERMS, dtype=torch.float64)
    found[0] = torch.log((errors * weights).sum() / (size.exp() * weights).sum())
    for _ in range(rounds):
        stated = (size + matrix @ found).exp()
        step = torch.linalg.solve(weighted @ matrix + pull, weighted @ ((errors - stated) / stated) - pull @ found)
        found += step
        if step.abs().max() < 1e-8:
            break
    return ExpectedError(tuple(found.tolist()))
