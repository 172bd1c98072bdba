"""Means over squares around each pixel, several times as fast on a CPU as pooling, which sums each square anew."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
        images = _sums(images, axis, reach).div_(counts[:, None] if axis == -2 else counts)
    return images


def _sums(images: Tensor, axis: int, reach: int) -> Tensor:
    """Sums over 2 reach + 1 pixels along an axis, of runs of 1, 2, 4, ... pixels: for 31 pixels 8 additions, not 30.

    13 pixels:  |1|....4...|........8........|      as 13 = 1 + 4 + 8
    """
    size, length, offset, left = images.shape[axis], 1, 0, 2 * reach + 1
    runs = functional.pad(images, (0, 0, reach, reach) if axis == -2 else (reach, reach))
    total = torch.zeros_like(images)
    while left:
        if left % 2:
            total.add_(runs.narrow(axis, offset, size))
            offset += length
        left //= 2
        if left:
            count = runs.shape[axis] - length
            runs = runs.narrow(axis, 0, count) + runs.narrow(axis, length, count)
            length *= 2
    return total
