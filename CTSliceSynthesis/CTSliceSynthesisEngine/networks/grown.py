"""Function-preserving initialization of larger networks from smaller ones.

    weights of a layer          old inputs    new inputs         old: weights of the smaller network
        old rows (outputs)         old            0              0: old features do not depend on new ones yet
        new rows                  fresh         fresh

Initially, neither the old features nor the output depend on the new features, so the larger network computes the same
function as the smaller one. The zero weights have nonzero gradients, because their inputs are nonzero, so they can be trained.

Source: function-preserving growth follows Chen et al., Net2Net, ICLR 2016; here features are added, not split.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .gap_network import GapNetwork
from .recipes import GapShape


def can_grow(small: GapShape, large: GapShape) -> bool:
    """Return whether a small network can be grown into a large one: same patch and kernel, at least as many layers."""
    same = (small.patch, small.kernel) == (large.patch, large.kernel)
    return same and small.channels <= large.channels and small.blocks <= large.blocks


@torch.no_grad()
def grow(small: GapNetwork, large: GapNetwork) -> None:
    """Initialize `large` to compute the same function as `small`, for the same inputs; see `can_grow`."""
    source, target = small.state_dict(), large.state_dict()
    for name, weight in target.items():
        if name in source:
            _put(source[name], weight, reads_features=name.startswith("last.") or name.startswith("blocks."))
        elif ".second." in name:  # an additional block initially leaves the old features unchanged
            weight[: small.shape.channels] = 0


def _put(old: Tensor, weight: Tensor, *, reads_features: bool) -> None:
    """Write `old` into the first rows of `weight`, with zero weights for new input features."""
    rows = len(old)
    if old.dim() > 1 and reads_features:
        weight[:rows] = 0
        weight[:rows, : old.shape[1]] = old
    else:
        weight[:rows] = old
