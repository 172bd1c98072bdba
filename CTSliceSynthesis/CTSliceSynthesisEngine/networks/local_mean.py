"""Means over squares around each pixel, several times as fast on a CPU as pooling, which sums each square anew."""

from __future__ import annotations

import torch
from torch import Tensor


def local_mean(images: Tensor, pixels: int) -> Tensor:
    """Mean over squares of `pixels` (odd) around each pixel; at the rim, over what there is of the square.

    Args:
        images: (..., H, W) of a floating type.
        pixels: width of the squares.

    Returns:
        The same shape and type.
    """
    for axis in (-2, -1):  # one axis after the other gives the mean over the square: what there is of it is a rectangle
        size = images.shape[axis]
        reach = min(pixels // 2, size - 1)
        place = torch.arange(size, device=images.device)
        counts = place.clamp(max=reach) + (size - 1 - place).clamp(max=reach) + 1
        total = images.clone()
        for shift in range(1, reach + 1):
            inner = size - shift
            total.narrow(axis, shift, inner).add_(images.narrow(axis, 0, inner))
            total.narrow(axis, 0, inner).add_(images.narrow(axis, shift, inner))
        images = total.div_(counts[:, None] if axis == -2 else counts)
    return images
