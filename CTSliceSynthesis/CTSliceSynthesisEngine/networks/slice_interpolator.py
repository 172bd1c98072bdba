"""The axial network of the `published` recipe, which predicts r - 1 slices between two neighboring slices.

Implemented from the description in Fang et al., CVPR 2022 (section 3.2, axial view), which takes its trunk from CAIN (Choi
et al., AAAI 2020): each slice is folded by 8 into channels and encoded by residual groups with channel attention, a small
memory of typical features is queried, and a decoder with skip connections from the *differences* of the two slices'
features predicts the change from one slice to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import ResidualGroup, channels_to_space, space_to_channels

PATCH = 8
"""Pixels folded into channels, in each direction."""

_SLOPE = 0.2


class MemoryLosses(NamedTuple):
    """Memory loss terms to minimize (Park et al., Memory-guided Normality, CVPR 2020, 3.3)."""

    compactness: Tensor
    separateness: Tensor


class Memory(nn.Module):
    """A list of typical feature vectors, read by softmax similarity and concatenated to the query.

    Args:
        items: number of vectors.
        features: their length.
    """

    def __init__(self, items: int, features: int) -> None:
        super().__init__()
        self.items = nn.Parameter(functional.normalize(torch.rand(items, features), dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, MemoryLosses]:
        """Return (B, C, H, W) -> (B, 2C, H, W) and the two loss terms."""
        query = functional.normalize(x, dim=1).permute(0, 2, 3, 1)
        scores = query @ self.items.t()
        read = torch.softmax(scores, dim=-1) @ self.items
        return torch.cat([x, read.permute(0, 3, 1, 2)], dim=1), self.losses(query.reshape(-1, x.shape[1]))

    def losses(self, queries: Tensor) -> MemoryLosses:
        """Return compactness (squared distance to the nearest item) and separateness (margin of 1 to the second nearest)."""
        distances = torch.cdist(queries, self.items).square()
        nearest = distances.topk(min(2, len(self.items)), dim=1, largest=False).values
        margin = functional.relu(nearest[:, 0] - nearest[:, -1] + 1.0)
        return MemoryLosses(nearest[:, 0].mean(), margin.mean())


class SliceInterpolator(nn.Module):
    """Axial network with a fixed factor.

    Args:
        factor: r; the network predicts r - 1 slices.
        groups, blocks: number of residual groups, and of attention blocks in each.
        reduction: of channel attention.
        memory_items: length of the memory.
        patch: pixels folded into channels in each direction; 8 as published, smaller in tests.
    """

    def __init__(
        self, factor: int, groups: int, blocks: int, reduction: int, memory_items: int, patch: int = PATCH
    ) -> None:
        super().__init__()
        features = 3 * patch * patch  # 192 as published, because CAIN reads RGB images
        self.patch = patch
        self.new_slices = factor - 1
        self.first = nn.Conv2d(patch * patch, features, 3, padding=1)
        self.encoder = nn.ModuleList(ResidualGroup(features, blocks, reduction, _SLOPE) for _ in range(groups))
        self.memory = Memory(memory_items, features)
        self.merge = nn.Conv2d(4 * features, features, 3, padding=1)
        self.decoder = nn.ModuleList(ResidualGroup(features, blocks, reduction, _SLOPE) for _ in range(groups))
        self.skips = nn.ModuleList(nn.Conv2d(2 * features, features, 1) for _ in range(groups))
        self.last = nn.Conv2d(features, patch * patch * self.new_slices, 3, padding=1)
        # An untrained network returns linear interpolation.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the features after each group, (B, C, H / patch, W / patch)."""
        stages = [self.first(space_to_channels(image, self.patch, self.patch))]
        for group in self.encoder:
            stages.append(group(stages[-1]))
        return stages[1:]

    def forward(self, pair: Tensor) -> tuple[Tensor, MemoryLosses]:
        """Predict the new slices between two.

        Args:
            pair: (B, 2, H, W) unit range, any H and W (edges are replicated up to a multiple of the patch).

        Returns:
            (B, r - 1, H, W) unit range, and the memory losses.
        """
        height, width = pair.shape[2:]
        padded = functional.pad(pair, (0, -width % self.patch, 0, -height % self.patch), mode="replicate")
        below, above = self.encode(padded[:, :1]), self.encode(padded[:, 1:])
        read_below, losses_below = self.memory(below[-1])
        read_above, losses_above = self.memory(above[-1])
        x = self.merge(torch.cat([read_below, read_above], dim=1))
        for group, skip, low, high in zip(self.decoder, self.skips, reversed(below), reversed(above), strict=True):
            x = group(skip(torch.cat([x, high - low], dim=1)))
        change = channels_to_space(self.last(x), self.patch, self.patch)[:, :, :height, :width]
        steps = torch.arange(1, self.new_slices + 1, device=pair.device, dtype=pair.dtype) / (self.new_slices + 1)
        linear = torch.lerp(pair[:, :1], pair[:, 1:], steps[None, :, None, None])
        losses = MemoryLosses(*((a + b) / 2 for a, b in zip(losses_below, losses_above, strict=True)))
        return linear + change, losses
