"""How many HU a synthesized voxel is likely to be wrong: a calibrated figure, not a wish.

The three views differ where a voxel is hard to tell, and so do the two acquired slices next to it; noise within these
slices is noise that no method can foresee. None of the three alone says how large the error is, and all grow with it:

    log E = c . (1, D, G, D G, D^2, G^2, N, P, T)

    D  log of the views' disagreement       G  log of the difference of the two acquired slices
    N  log of the noise within them         P  log of 4 t (1 - t), for the place t in the gap
    T  log of slice thickness over slice spacing: slices that overlap foretell each other better

D, G and N are means over 5 x 5 pixels, HU. The nine numbers c are fitted to true errors on scans of the cohort, and travel
with the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

AROUND = 5
"""Pixels across of the neighbourhood that a statement holds for."""

TERMS = 9
"""Numbers of a calibration."""

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

    def __call__(self, seen: Tensor) -> Tensor:
        """Expected absolute error in HU, (...), from terms (TERMS, ...) of `terms`."""
        weights = torch.tensor(self.coefficients, dtype=seen.dtype, device=seen.device)
        return torch.tensordot(weights, seen, 1).exp_()


@torch.inference_mode()
def terms(disagreement: Tensor, below: Tensor, above: Tensor, position: float, thickness_share: float | None) -> Tensor:
    """What is seen of the new slice between two acquired ones.

    Args:
        disagreement: (H, W) of the views, HU.
        below, above: (H, W) the acquired slices, HU within the 12-bit range.
        position: of the new slice between them, in (0, 1).
        thickness_share: slice thickness over slice spacing; None where unknown, which reads as touching slices.

    Returns:
        (TERMS, H, W) float32.
    """
    spread = _log(_mean(disagreement, AROUND))
    difference = _log(_mean((above - below).abs_(), AROUND))
    pair = torch.stack([below, above])
    noise = _log(_mean((pair - _mean(pair, 3)).abs_(), AROUND).mean(0))
    constants = (1.0, math.log(4 * position * (1 - position)), math.log(thickness_share or 1.0))
    one, place, thickness = (torch.full_like(spread, value) for value in constants)
    return torch.stack(
        [one, spread, difference, spread * difference, spread**2, difference**2, noise, place, thickness]
    )


def _mean(images: Tensor, pixels: int) -> Tensor:
    """Mean over squares of `pixels` (odd) around each pixel; at the rim, over what there is of the square."""
    planes = images.float().reshape(-1, 1, *images.shape[-2:])
    smooth = functional.avg_pool2d(planes, pixels, stride=1, padding=pixels // 2, count_include_pad=False)
    return smooth.reshape(images.shape)


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
