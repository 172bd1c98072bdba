"""Even texture: a viewing variant in which new slices are as grainy as the acquired ones next to them.

The best estimate of a slice is smoother than a slice that was acquired, for nobody can foresee noise; reformats and
projections then show stripes. Here the noise of the two acquired neighbours a and b is carried over:

    new = estimate + g (cos(pi t / 2) a' + sin(pi t / 2) b')        ' = minus its Gaussian mean: grain, and fine edges

The mix of a' and b' has their variance at any place t in the gap, if their noise is independent. Around each pixel g is the
least gain that brings the variance of the new slice's grain to that of its neighbours; where the estimate is as lively as
they are, as at edges, it is zero. Nothing beyond the neighbours' own grain comes in; the estimate gets further from the
truth by it, which is why this is a variant for reading and not for measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..networks.local_mean import local_mean

_SIGMA = 2.0  # pixels: what varies faster is grain
_REACH = 6  # pixels that the Gaussian is cut off at
_WINDOW = 7  # pixels across in which the variances are taken: wider ones reach into edges, which hide missing grain
_QUIET = 1.0  # HU^2: below it there is no grain to carry over


@torch.inference_mode()
def even(new: np.ndarray, slices: np.ndarray, positions: Sequence[float]) -> np.ndarray:
    """New slices with the grain of their neighbours.

    Args:
        new: (G, P, H, W) float32 estimates, HU.
        slices: (G + 3, H, W) float32 acquired slices, HU: one before the first of G gaps, one after the last.
        positions: P places in a gap, from 0 to 1.

    Returns:
        (G, P, H, W) float32 HU.
    """
    grains = grain(torch.from_numpy(slices[1:-1]))
    powers = power(grains)
    out = np.empty_like(new)
    for p, position in enumerate(positions):
        near, far = math.cos(math.pi * position / 2), math.sin(math.pi * position / 2)
        carried = near * grains[:-1] + far * grains[1:]
        wanted = (1 - position) * powers[:-1] + position * powers[1:]
        estimate = torch.from_numpy(new[:, p])
        out[:, p] = (estimate + gain(grain(estimate), carried, wanted) * carried).numpy()
    return out


def gain(own: Tensor, carried: Tensor, wanted: Tensor) -> Tensor:
    """The least g >= 0 for which own + g carried has the wanted power around each pixel, at most 1; all (G, H, W)."""
    square, cross = power(carried), local_mean(own * carried, _WINDOW)
    missing = (wanted - power(own)).clamp_min_(0)
    root = (cross.square() + square * missing).sqrt_()
    return ((root - cross) / square.clamp_min(_QUIET)).clamp_(0, 1)


def grain(slices: Tensor) -> Tensor:
    """Slices (G, H, W) minus their Gaussian mean."""
    offsets = torch.arange(-_REACH, _REACH + 1, dtype=slices.dtype, device=slices.device)
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    padded = functional.pad(slices[:, None], (_REACH,) * 4, mode="replicate")
    smooth = functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return slices - smooth[:, 0]


def power(grains: Tensor) -> Tensor:
    """Mean square around each pixel, (G, H, W)."""
    return local_mean(grains.square(), _WINDOW)
