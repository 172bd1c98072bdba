"""Fusion of the three views, and their disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.inference_mode()
def fuse(views: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the weighted mean of the views.

    Args:
        views: (3, ...); changed in place, because copying every new slice would cost as much as the mean itself.
        weights: of the axial, coronal and sagittal view; they sum to one.

    Returns:
        (...), in the memory of the first view.
    """
    fused = views[0].mul_(weights[0])
    for view, weight in zip(views[1:], weights[1:], strict=True):
        fused.add_(view, alpha=weight)
    return fused


@torch.inference_mode()
def disagreement(views: Tensor) -> Tensor:
    """Return the standard deviation over the three views (divided by three), in their unit; 0 where they agree."""
    mean = (views[0] + views[1]).add_(views[2]).div_(len(views))
    square = torch.zeros_like(mean)
    for view in views:  # Tensor.std takes more than ten times longer here
        square.add_((view - mean).square_())
    return square.div_(len(views)).sqrt_()
