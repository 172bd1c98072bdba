"""Three answers into one, and how far they differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def fuse(views: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted mean of the views.

    Args:
        views: (3, ...).
        weights: of the axial, coronal and sagittal view; they add up to one.
    """
    return torch.einsum("v...,v->...", views, views.new_tensor(list(weights)))


def disagreement(views: Tensor) -> Tensor:
    """Standard deviation over the three views (divided by three), in their unit: 0 where they are of one mind."""
    return views.std(dim=0, correction=0)
