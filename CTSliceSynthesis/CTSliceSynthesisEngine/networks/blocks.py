"""Building blocks shared by several networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def space_to_channels(image: Tensor, rows: int, columns: int) -> Tensor:
    """Fold every `rows` x `columns` patch of pixels into channels (pixel-unshuffle with a rectangle).

        a b | c d         a c     b d
        ----+----   ->    e g  ,  f h  , ...      one channel for each place in the patch
        e f | g h

    Args:
        image: (B, C, H, W); H and W are multiples of the patch.
        rows, columns: the patch, in pixels.

    Returns:
        (B, C * rows * columns, H / rows, W / columns), channels-last in memory, which is fastest for CPU convolutions.
    """
    batch, channels, height, width = image.shape
    patches = image.reshape(batch, channels, height // rows, rows, width // columns, columns)
    folded = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, height // rows, width // columns, -1)
    return folded.permute(0, 3, 1, 2)


def channels_to_space(folded: Tensor, rows: int, columns: int) -> Tensor:
    """Invert `space_to_channels`: (B, C * rows * columns, h, w) -> (B, C, h * rows, w * columns)."""
    batch, depth, height, width = folded.shape
    channels = depth // (rows * columns)
    patches = folded.reshape(batch, channels, rows, columns, height, width)
    return patches.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, height * rows, width * columns)


def same_padding(kernel: tuple[int, int]) -> tuple[int, int]:
    """Return the zero padding that preserves the size for an odd kernel."""
    return kernel[0] // 2, kernel[1] // 2


class ChannelAttention(nn.Module):
    """Scale each channel by a gate computed from its mean over the image (squeeze and excitation).

    Source: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks, ECCV 2018, 3.3.
    """

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        squeezed = max(1, features // reduction)
        self.down = nn.Conv2d(features, squeezed, 1)
        self.up = nn.Conv2d(squeezed, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.up(functional.relu(self.down(mean))))


class AttentionBlock(nn.Module):
    """Two 3x3 convolutions and channel attention, added to the input (the block of RCAN, CAIN and HAN)."""

    def __init__(self, features: int, reduction: int, slope: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        self.attention = ChannelAttention(features, reduction)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.leaky_relu(self.first(x), self.slope)
        return x + self.attention(self.second(hidden))


class ResidualGroup(nn.Module):
    """A chain of attention blocks and a closing convolution, added to the input (RCAN, section 3.2)."""

    def __init__(self, features: int, blocks: int, reduction: int, slope: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(AttentionBlock(features, reduction, slope) for _ in range(blocks)))
        self.last = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.blocks(x))
