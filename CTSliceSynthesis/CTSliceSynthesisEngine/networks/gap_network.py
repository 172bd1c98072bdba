"""The network of the `compact` recipe: it fills one gap between two acquired slices, at any position in it.

One class serves the three views, because a view is only a way to look at the same four neighbouring slices:

    view      kernel  patch   what a pixel of the answer sees
    axial     3 x 3   2 x 2   the slices' own plane, both ways
    coronal   1 x 3   1 x 2   one row of each slice: the coronal plane through it, four slices high
    sagittal  3 x 1   2 x 1   the coronal network with its two axes exchanged: the same weights

So each gap is computed from four slices alone: slabs of any height give the same voxels, and memory does not grow with
depth. There is no normalisation and no global pooling, so tiles give the same voxels as the whole plane.

Coronal and sagittal planes are filled row by row, column by column: none of them sees its neighbours, and a new slice shows
it as hatching. So the axial network answers last (`AxialNetwork`): it reads what the two propose for the slice, and
corrects their mean.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import channels_to_space, same_padding, space_to_channels
from .recipes import AXIAL_READS, NEIGHBOURS, GapShape

CONDITIONS = 5
"""Numbers that describe the scan; see `condition`."""

SLOPE = 0.1

_Position = TypeVar("_Position", float, Tensor)

_SPACING = 2.5  # mm, of a common scan: its logarithm is told relative to it
_DIFFERENCE_SCALE = 16.0  # brings the difference of two views to order one
RESIDUAL_SCALE = 0.25  # keeps the last layer's weights of order one: residuals are a few per cent of the unit range


def condition(
    slice_spacing: float, pixel_spacing: float, thickness: float | None, output_thickness: float | None
) -> list[float]:
    """What the networks are told of a scan.

    Args:
        slice_spacing: mm between acquired slices.
        pixel_spacing: mm between pixels along the kernel.
        thickness: slice thickness of the acquired slices in mm; None where it is unknown.
        output_thickness: slice thickness the new slices shall have, mm; ignored where `thickness` is None.

    Returns:
        CONDITIONS numbers of order one; an unknown thickness reads as the slice spacing, and the last number says so.
    """
    known = thickness is not None and output_thickness is not None
    widths = (1.0, 1.0)
    if thickness is not None and output_thickness is not None:
        widths = (thickness / slice_spacing, output_thickness / slice_spacing)
    return [math.log2(slice_spacing / _SPACING), math.log2(pixel_spacing / 0.75), *widths, float(known)]


def centred(units: Tensor) -> Tensor:
    """Unit range as the networks like it: soft tissue near 0, air at -1."""
    return units * 4 - 1


def cubic_weights(positions: Tensor) -> Tensor:
    """4-point Lagrange weights at `positions` (B,) in (0, 1) between the two middle slices: (B, 4)."""
    t = positions
    return torch.stack(
        (
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ),
        dim=1,
    )


class GapBlock(nn.Module):
    """Two convolutions added to the input; the scan's condition enters as a bias, which costs nothing at inference."""

    def __init__(self, shape: GapShape, embedding: int) -> None:
        super().__init__()
        padding = same_padding(shape.kernel)
        self.first = nn.Conv2d(shape.channels, shape.channels, shape.kernel, padding=padding)
        self.second = nn.Conv2d(shape.channels, shape.channels, shape.kernel, padding=padding)
        self.shift = nn.Linear(embedding, shape.channels)
        # Start close to the identity, with a condition that says nothing yet.
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        hidden = self.first(x)
        hidden += self.shift(embedded)[:, :, None, None]
        return self.second(functional.leaky_relu_(hidden, SLOPE)).add_(x)


class GapNetwork(nn.Module):
    """Residual on 4-point cubic interpolation, for any position between two acquired slices.

    The trunk is computed once a gap; a new slice costs one addition, one activation and one convolution more.

    Args:
        shape: its size.
        images: that it reads: the acquired slices, and perhaps more.
        conditions: numbers that it is told.
    """

    def __init__(self, shape: GapShape, images: int = NEIGHBOURS, conditions: int = CONDITIONS) -> None:
        super().__init__()
        embedding, folded = 16, shape.patch[0] * shape.patch[1]
        padding = same_padding(shape.kernel)
        self.shape = shape
        self.embed = nn.Sequential(
            nn.Linear(conditions, embedding), nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU()
        )
        self.first = nn.Conv2d(images * folded, shape.channels, shape.kernel, padding=padding)
        self.blocks = nn.ModuleList(GapBlock(shape, embedding) for _ in range(shape.blocks))
        self.position = nn.Sequential(nn.Linear(embedding + 3, 64), nn.ReLU(), nn.Linear(64, shape.channels))
        self.last = nn.Conv2d(shape.channels, folded, shape.kernel, padding=padding)
        # An untrained network answers with cubic interpolation itself.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def trunk(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Features of each gap, and its embedded condition.

        Args:
            images: (B, 4 or more, H, W) centred, H and W multiples of the patch.
            conditions: (B or 1, CONDITIONS or more).
        """
        embedded = self.embed(conditions)
        x = self.first(space_to_channels(images, *self.shape.patch))
        for block in self.blocks:
            x = block(x, embedded)
        return x, embedded

    def position_shifts(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """What a position adds to the features: (B, channels), from the embedded condition and positions (B,)."""
        t = positions[:, None]
        embedded = embedded.expand(len(t), -1)
        return self.position(torch.cat([embedded, t, t * (1 - t), t * t], dim=1))

    def head(self, features: Tensor, embedded: Tensor, positions: Tensor) -> Tensor:
        """Residual (B, H, W) in unit range at `positions` (B or 1,) in (0, 1)."""
        shift = self.position_shifts(embedded, positions)
        folded = self.last(functional.leaky_relu_(features + shift[:, :, None, None], SLOPE))
        return channels_to_space(folded, *self.shape.patch)[:, 0] * RESIDUAL_SCALE

    def forward(self, neighbours: Tensor, positions: Tensor, conditions: Tensor) -> Tensor:
        """Residual (B, H, W), unit range, to be added to cubic interpolation of `neighbours` (B, 4, H, W)."""
        features, embedded = self.trunk(centred(neighbours), conditions)
        return self.head(features, embedded, positions)


class AxialNetwork(GapNetwork):
    """Correction of the mean of what coronal and sagittal propose for a new slice; untrained, it answers with that mean.

    All of it is computed for every new slice, so its trunk may know the position as well.
    """

    def __init__(self, shape: GapShape) -> None:
        super().__init__(shape, AXIAL_READS, CONDITIONS + len(placed(0.0)))

    def correction(
        self, neighbours: Tensor, coronal: Tensor, sagittal: Tensor, positions: Tensor, conditions: Tensor
    ) -> Tensor:
        """(B, H, W) unit range, to be added to the mean of `coronal` and `sagittal` (B, H, W).

        Args:
            neighbours, positions, conditions: see `forward`.
        """
        read = torch.cat([centred(neighbours), proposed(coronal, sagittal, dim=1)], dim=1)
        told = torch.cat([conditions, *(part[:, None] for part in placed(positions))], dim=1)
        features, embedded = self.trunk(read, told)
        return self.head(features, embedded, positions)


def proposed(coronal: Tensor, sagittal: Tensor, dim: int) -> Tensor:
    """What an `AxialNetwork` reads of two proposals, along a new axis `dim`: their centred mean, and their difference."""
    return torch.stack([centred((coronal + sagittal) / 2), _DIFFERENCE_SCALE * (coronal - sagittal)], dim=dim)


def placed(position: _Position) -> tuple[_Position, _Position]:
    """What the trunk of an `AxialNetwork` is told of a position in the gap, beside the scan's condition."""
    return 2 * position - 1, 4 * position * (1 - position)
