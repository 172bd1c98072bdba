"""Calibrated estimate of the absolute error of a synthesized voxel in HU.

The error grows with the disagreement of the three views, with the difference of the two adjacent acquired slices, with
their curvature along the slice axis, and with the noise within the slices, which no method can predict. None of these
alone determines the error. The model is scale-equivariant: if all of them double, as in a scan with twice the noise, the
expected error doubles.

    log E = G + c . (1, x, all pairwise products of x, P, S, T, T (N - G))        x = (D, B, N, D', G', B', N') - G

    G  log of the difference of the two acquired slices     D  log of the views' disagreement
    N  log of the noise within the two                      P  log of 4 t (1 - t), for position t in the gap
    B  log of the larger second difference of the four acquired slices around the gap
    S  log of the slice spacing over the new slices' thickness: overlapping slices contain information about new ones
    T  log of the slice thickness over that of the new slices: averaging over thicker slices reduces noise
    '  the same in a wide neighborhood: in small ones, noise levels are underestimated by chance

D, G, B and N are means over 5 x 5 pixels, HU, and over 31 x 31 of those. The coefficients c are fitted to true errors on
scans of the cohort and stored with the weights. Spacing in mm and tissue are not used as features: in a cohort of a few
scans they would identify the scan rather than explain its errors.
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
"""Width in pixels of the neighborhood that an estimate refers to."""

WIDE = 31
"""Width in pixels of the wide neighborhood."""

_RATIOS = 7

TERMS = 1 + _RATIOS + _RATIOS * (_RATIOS + 1) // 2 + 4
"""Number of coefficients of a calibration."""

MOST_HU = 4095.0
"""The 12-bit range: the largest possible error."""

_AIR_HU = -950  # a lower mean over _BODY_AROUND pixels is air around the patient, which is not evaluated
_BODY_AROUND = 15
_QUIET_HU = 2.0  # added before taking logarithms; smaller differences are insignificant
_NEAREST = 0.1  # of a gap; positions are clipped to this distance from acquired slices
_RIDGE = 1e-3  # of a term's variance
_LEAST_VARIANCE = 1e-6  # keeps the system solvable if a term is constant


@dataclass(frozen=True)
class ExpectedError:
    """An error calibration.

    Attributes:
        coefficients: the TERMS coefficients c, in the order of the formula in the module docstring.
    """

    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.coefficients) != TERMS or not all(map(math.isfinite, self.coefficients)):
            raise ValueError(f"an error calibration has {TERMS} finite numbers, not {self.coefficients}")

    def __call__(self, features: Iterable[Tensor]) -> Tensor:
        """Return the expected absolute error in HU from `parts` or `terms`; clipped to MOST_HU for metal."""
        total, *others = features
        for coefficient, term in zip(self.coefficients, others, strict=True):
            total = torch.add(total, term, alpha=coefficient)
        return total.exp().clamp_(max=MOST_HU)

    def times(self, ratio: float) -> ExpectedError:
        """Return a calibration whose errors are `ratio` times these."""
        constant, *others = self.coefficients
        return ExpectedError((constant + math.log(ratio), *others))


def terms(
    disagreement: Tensor, neighbors: Tensor, positions: Sequence[float], relative_spacing: float, thinning: float = 1.0
) -> Tensor:
    """Return `parts` as one tensor, (1 + TERMS, P, H, W) float32."""
    features = parts(disagreement, neighbors, positions, relative_spacing, thinning)
    return torch.stack(torch.broadcast_tensors(*features))  # type: ignore[no-untyped-call]


@torch.inference_mode()
def parts(
    disagreement: Tensor, neighbors: Tensor, positions: Sequence[float], relative_spacing: float, thinning: float = 1.0
) -> list[Tensor]:
    """Compute the features for the new slices in one gap.

    Args:
        disagreement: (P, H, W) of the views, HU.
        neighbors: (4, H, W) the acquired slices around the gap, HU with any offset.
        positions: P positions of the new slices between the two middle ones, from 0 to 1.
        relative_spacing: slice spacing over the new slices' thickness, see `Plan.relative_spacing`.
        thinning: thickness of the acquired slices over that of the new ones, see `Plan.thinning`.

    Returns:
        G and the TERMS terms of the formula, float32, each broadcastable to (P, H, W).
    """
    steps, pair = neighbors.diff(dim=0), neighbors[1:3]
    noise = (pair - local_mean(pair, 3)).abs_().mean(0, keepdim=True)
    local = local_mean(torch.cat([disagreement, steps[1:2].abs(), steps.diff(dim=0).abs(), noise]), AROUND)
    (spread, difference, *others), wide = _logs(local), _logs(local_mean(local, WIDE))
    ratios = [feature - difference for feature in (spread, *others, *wide)]
    products = [first * second for first, second in combinations_with_replacement(ratios, 2)]
    clipped = [min(max(t, _NEAREST), 1 - _NEAREST) for t in positions]
    position_term = torch.tensor([math.log(4 * t * (1 - t)) for t in clipped], device=spread.device)[:, None, None]
    one = torch.ones((), device=spread.device)
    averaged = one * math.log(thinning)
    return [
        difference,
        one,
        *ratios,
        *products,
        position_term,
        one * math.log(relative_spacing),
        averaged,
        averaged * ratios[2],
    ]


def in_body(slices: Tensor) -> Tensor:
    """Return the pixels of slices (..., H, W) in HU for which errors are evaluated: all but air around the patient."""
    return local_mean(slices, _BODY_AROUND) > _AIR_HU


def _logs(sizes: Tensor) -> list[Tensor]:
    """Return D (P, H, W), and G, B, N (1, H, W), from local means of the disagreement, the difference, both second
    differences and the noise."""
    logs = sizes.add(_QUIET_HU).log_()
    return [logs[:-4], logs[-4:-3], logs[-3:-1].amax(0, keepdim=True), logs[-1:]]


def fit(features: Tensor, errors: Tensor, weights: Tensor, rounds: int = 30) -> ExpectedError:
    """Fit the calibration to true errors.

    A generalized linear model with logarithmic link and gamma distribution, fitted by iteratively reweighted least squares:
    McCullagh and Nelder, Generalized Linear Models, 1989, sections 2.5 and 8.2. The estimated errors sum to the true ones
    over any group of voxels that the terms can distinguish, except for a weak ridge penalty, which matters where terms
    hardly vary in a cohort.

    Args:
        seen: (1 + TERMS, N) terms of N voxels, G first.
        errors: (N,) true absolute errors, HU.
        weights: (N,) weight of each voxel.
        rounds: maximum number of iterations.
    """
    size, matrix, errors, weights = features[0].double(), features[1:].T.double(), errors.double(), weights.double()
    weighted = (matrix * (weights / weights.sum())[:, None]).T
    ridge = torch.diag(_RIDGE * (matrix.var(0) + _LEAST_VARIANCE))
    ridge[0] = 0.0  # the constant is not penalized
    coefficients = torch.zeros(TERMS, dtype=torch.float64)
    coefficients[0] = torch.log((errors * weights).sum() / (size.exp() * weights).sum())
    for _ in range(rounds):
        estimated = (size + matrix @ coefficients).exp()
        step = torch.linalg.solve(
            weighted @ matrix + ridge, weighted @ ((errors - estimated) / estimated) - ridge @ coefficients
        )
        coefficients += step
        if step.abs().max() < 1e-8:
            break
    return ExpectedError(tuple(coefficients.tolist()))
