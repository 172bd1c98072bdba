"""Even texture: a viewing variant in which new slices have the noise texture of the acquired slices next to them.

The best estimate of a slice is smoother than an acquired slice, because noise cannot be predicted; reformats and
projections then show stripes. Here the noise of the two acquired neighbors a and b is added:

    new = estimate + g (cos(pi t / 2) a' + sin(pi t / 2) b')        ' = minus its Gaussian mean: grain, and fine edges

The mix of a' and b' has their variance at any position t in the gap if their noise is independent. Around each pixel, g is
the smallest gain that raises the variance of the new slice's grain to that of its neighbors; where the estimate already has
that variance, as at edges, it is zero. Only grain of the neighbors is added. This moves the estimate away from the ground
truth, so the variant is for reading, not for measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..networks.local_mean import local_mean

_SIGMA = 2.0  # pixels; faster variations count as grain
_REACH = 6  # pixels; radius at which the Gaussian is truncated
_WINDOW = 7  # pixels; width of the variance window: wider ones include edges, which mask missing grain
_QUIET = 1.0  # HU^2; below this there is no grain to add


@torch.inference_mode()
def match_grain(new: np.ndarray, slices: np.ndarray, positions: Sequence[float]) -> np.ndarray:
    """Add the grain of their neighbors to new slices.

    Args:
        new: (G, P, H, W) float32 estimates, HU.
        slices: (G + 3, H, W) float32 acquired slices, HU: one before the first of G gaps, one after the last.
        positions: P positions in a gap, from 0 to 1.

    Returns:
        (G, P, H, W) float32 HU.
    """
    grains = grain(torch.from_numpy(slices[1:-1]))
    powers = power(grains)
    out = np.empty_like(new)
    for p, position in enumerate(positions):
        near, far = math.cos(math.pi * position / 2), math.sin(math.pi * position / 2)
        mixed = near * grains[:-1] + far * grains[1:]
        target = (1 - position) * powers[:-1] + position * powers[1:]
        estimate = torch.from_numpy(new[:, p])
        out[:, p] = (estimate + gain(grain(estimate), mixed, target) * mixed).numpy()
    return out


def gain(own: Tensor, mixed: Tensor, target: Tensor) -> Tensor:
    """Return the least g in [0, 1] for which own + g mixed has the target power around each pixel; all (G, H, W)."""
    square, cross = power(mixed), local_mean(own * mixed, _WINDOW)
    missing = (target - power(own)).clamp_min_(0)
    root = (cross.square() + square * missing).sqrt_()
    return ((root - cross) / square.clamp_min(_QUIET)).clamp_(0, 1)


def grain(slices: Tensor) -> Tensor:
    """Return slices (G, H, W) minus their Gaussian mean."""
    offsets = torch.arange(-_REACH, _REACH + 1, dtype=slices.dtype, device=slices.device)
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    padded = functional.pad(slices[:, None], (_REACH,) * 4, mode="replicate")
    smooth = functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return slices - smooth[:, 0]


def power(grains: Tensor) -> Tensor:
    """Return the mean square around each pixel, (G, H, W)."""
    return local_mean(grains.square(), _WINDOW)
