"""Larger networks that begin with the answers of smaller ones: what was learned is kept, and there is room to learn more.

    weights of a layer          read by old   read by new        old: the smaller network's own
        old rows (outputs)         old            0              0: the old features do not hear of the new ones yet
        new rows                  fresh         fresh

The old features never read the new ones, and what is answered reads the old ones alone, so the larger network answers as the
smaller one does. The zeros have gradients, for what they would read is there: training opens them.

Source: the idea of function-preserving growth is that of Chen et al., Net2Net, ICLR 2016; here features are added, not split.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .gap_network import GapNetwork
from .recipes import GapShape


def can_grow(small: GapShape, large: GapShape) -> bool:
    """True if a network of the large shape can hold one of the small: the same patch and kernel, at least its layers."""
    same = (small.patch, small.kernel) == (large.patch, large.kernel)
    return same and small.channels <= large.channels and small.blocks <= large.blocks


@torch.no_grad()
def grow(small: GapNetwork, large: GapNetwork) -> None:
    """Give the untrained `large` the answers of `small`, which reads the same; see `can_grow`."""
    given, wanted = small.state_dict(), large.state_dict()
    for name, weight in wanted.items():
        if name in given:
            _put(given[name], weight, reads_features=name.startswith("last.") or name.startswith("blocks."))
        elif ".second." in name:  # a block more adds nothing to the old features
            weight[: small.shape.channels] = 0


def _put(old: Tensor, weight: Tensor, *, reads_features: bool) -> None:
    """Write `old` into the first rows of `weight`; in them, what is read of new features counts nothing yet."""
    rows = len(old)
    if old.dim() > 1 and reads_features:
        weight[:rows] = 0
        weight[:rows, : old.shape[1]] = old
    else:
        weight[:rows] = old
