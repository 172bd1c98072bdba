"""The through-plane network of the `published` recipe, shared by the coronal and the sagittal view.

Implemented from the description in Fang et al., CVPR 2022 (section 3.2, coronal and sagittal views), which takes its trunk
from HAN (Niu et al., ECCV 2020): residual groups with channel attention, layer attention over the groups' features, and
channel-spatial attention over the last. The image is a reformatted plane; its acquired columns are not changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import ResidualGroup


class LayerAttention(nn.Module):
    """Weight the features of several layers by their mutual correlation (HAN, section 3.2)."""

    def __init__(self, layers: int, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))
        self.merge = nn.Conv2d(layers * features, features, 3, padding=1)

    def forward(self, stages: list[Tensor]) -> Tensor:
        stacked = torch.stack(stages, dim=1)  # (B, L, C, H, W)
        flat = stacked.flatten(2)
        weights = torch.softmax(flat @ flat.transpose(1, 2) / flat.shape[2] ** 0.5, dim=-1)
        attended = (weights @ flat).reshape(stacked.shape)
        return self.merge((stacked + self.scale * attended).flatten(1, 2))


class ChannelSpatialAttention(nn.Module):
    """Scale every feature by a gate computed from its spatial and channel neighbors (HAN, section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 1, 3, padding=1)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.convolution(x[:, None])[:, 0])
        return x + self.scale * gate * x


class PlaneUpscaler(nn.Module):
    """Through-plane network with a fixed factor.

    Args:
        factor: r; each gap between two acquired columns gets r - 1 new ones.
        groups, blocks, features, reduction: size of the trunk.
    """

    def __init__(self, factor: int, groups: int, blocks: int, features: int, reduction: int) -> None:
        super().__init__()
        self.new_columns = factor - 1
        self.first = nn.Conv2d(1, features, 3, padding=1)
        self.groups = nn.ModuleList(ResidualGroup(features, blocks, reduction) for _ in range(groups))
        self.layers = LayerAttention(groups, features)
        self.spatial = ChannelSpatialAttention()
        self.last = nn.Conv2d(features, self.new_columns, 3, padding=1)
        # An untrained network returns linear interpolation.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, planes: Tensor) -> Tensor:
        """Predict the new columns of reformatted planes.

        Args:
            planes: (B, 1, W, D) unit range: D acquired columns of W in-plane pixels.

        Returns:
            (B, r - 1, W, D - 1): the new columns between columns d and d + 1.
        """
        shallow = self.first(planes)
        stages, x = [], shallow
        for group in self.groups:
            x = group(x)
            stages.append(x)
        deep = shallow + self.layers(stages) + self.spatial(x)
        change = self.last(deep)[..., :-1]
        steps = torch.arange(1, self.new_columns + 1, device=planes.device, dtype=planes.dtype) / (self.new_columns + 1)
        return torch.lerp(planes[..., :-1], planes[..., 1:], steps[None, :, None, None]) + change


def interleave(planes: Tensor, new_columns: Tensor) -> Tensor:
    """Insert new columns between the acquired ones, which are not changed.

        a . . b . . c      acquired a b c, factor 3

    Args:
        planes: (B, 1, W, D).
        new_columns: (B, r - 1, W, D - 1).

    Returns:
        (B, 1, W, (D - 1) * r + 1).
    """
    gaps = torch.cat([planes[..., :-1], new_columns], dim=1)  # (B, r, W, D - 1)
    fine = gaps.permute(0, 2, 3, 1).flatten(2)[:, None]
    return torch.cat([fine, planes[..., -1:]], dim=-1)
