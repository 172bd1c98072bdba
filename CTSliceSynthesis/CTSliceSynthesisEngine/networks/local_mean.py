"""Local means over squares, several times faster on a CPU than pooling, which sums each square separately."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def local_mean(images: Tensor, pixels: int) -> Tensor:
    """Return the mean over a square of `pixels` (odd) around each pixel, cropped to the image at the border.

    Args:
        images: (..., H, W) of a floating type.
        pixels: width of the squares.

    Returns:
        The same shape and type.
    """
    for axis in (-2, -1):  # separable, because a cropped square is a rectangle
        size = images.shape[axis]
        reach = min(pixels // 2, size - 1)
        index = torch.arange(size, device=images.device)
        counts = index.clamp(max=reach) + (size - 1 - index).clamp(max=reach) + 1
        images = _sums(images, axis, reach).div_(counts[:, None] if axis == -2 else counts)
    return images


def _sums(images: Tensor, axis: int, reach: int) -> Tensor:
    """Return sums over 2 reach + 1 pixels along an axis, from runs of 1, 2, 4, ... pixels: 31 pixels need 8 additions.

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
