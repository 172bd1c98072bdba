"""The network of the `compact` recipe, which predicts slices at any position in the gap between two acquired slices.

One class serves all three views, because each view is a different arrangement of the same four neighboring slices:

    view      kernel  patch   receptive field of an output pixel
    axial     3 x 3   2 x 2   the slice plane, in both directions
    coronal   1 x 3   1 x 2   one row of each slice: the coronal plane through it, four slices high
    sagittal  3 x 1   2 x 1   the coronal network with swapped axes, i.e. the same weights

Each gap is computed from four slices only, so slabs of any size give the same voxels, and memory does not grow with depth.
There is no normalization and no global pooling, so tiles give the same voxels as the whole plane.

Coronal and sagittal planes are predicted independently of their neighbors, which shows as hatching in a new slice. The axial
network (`AxialNetwork`) therefore runs last: it reads the coronal and sagittal predictions for the slice and corrects their
mean.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import channels_to_space, same_padding, space_to_channels
from .recipes import AXIAL_READS, NEIGHBORS, GapShape

CONDITIONS = 5
"""Numbers that describe the scan; see `condition`."""

SLOPE = 0.1

_Position = TypeVar("_Position", float, Tensor)

_SPACING = 2.5  # mm; reference for the logarithm of the slice spacing
_DIFFERENCE_SCALE = 16.0  # scales the difference of two views to order one
RESIDUAL_SCALE = 0.25  # keeps the last layer's weights of order one; residuals are a few percent of the unit range


def condition(
    slice_spacing: float, pixel_spacing: float, thickness: float | None, output_thickness: float | None
) -> list[float]:
    """Return the condition vector of a scan.

    Args:
        slice_spacing: mm between acquired slices.
        pixel_spacing: mm between pixels along the kernel.
        thickness: slice thickness of the acquired slices in mm, None if unknown.
        output_thickness: target slice thickness of the new slices, mm; ignored if `thickness` is None.

    Returns:
        CONDITIONS numbers of order one; an unknown thickness is replaced by the slice spacing, flagged by the last number.
    """
    known = thickness is not None and output_thickness is not None
    widths = (1.0, 1.0)
    if thickness is not None and output_thickness is not None:
        widths = (thickness / slice_spacing, output_thickness / slice_spacing)
    return [math.log2(slice_spacing / _SPACING), math.log2(pixel_spacing / 0.75), *widths, float(known)]


def centered(units: Tensor) -> Tensor:
    """Rescale unit range for the networks: soft tissue near 0, air at -1."""
    return units * 4 - 1


def cubic_weights(positions: Tensor) -> Tensor:
    """Return 4-point Lagrange weights (B, 4) at `positions` (B,) in (0, 1) between the two middle slices."""
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
    """Residual block of two convolutions; the scan's condition enters as a bias, which is free at inference."""

    def __init__(self, shape: GapShape, embedding: int) -> None:
        super().__init__()
        padding = same_padding(shape.kernel)
        self.first = nn.Conv2d(shape.channels, shape.channels, shape.kernel, padding=padding)
        self.second = nn.Conv2d(shape.channels, shape.channels, shape.kernel, padding=padding)
        self.shift = nn.Linear(embedding, shape.channels)
        # Start close to the identity, independent of the condition.
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
    """Predicts the residual relative to 4-point cubic interpolation at any position between two acquired slices.

    The trunk is computed once per gap; each new slice costs one addition, one activation and one convolution.

    Args:
        shape: size of the network.
        images: number of input images: the acquired slices, and possibly more.
        conditions: length of the condition vector.
    """

    def __init__(self, shape: GapShape, images: int = NEIGHBORS, conditions: int = CONDITIONS) -> None:
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
        # An untrained network returns cubic interpolation.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def trunk(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of each gap and its embedded condition.

        Args:
            images: (B, 4 or more, H, W) centered, H and W multiples of the patch.
            conditions: (B or 1, CONDITIONS or more).
        """
        embedded = self.embed(conditions)
        x = self.first(space_to_channels(images, *self.shape.patch))
        for block in self.blocks:
            x = block(x, embedded)
        return x, embedded

    def position_shifts(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Return the feature shifts (B, channels) for positions (B,) and the embedded condition."""
        t = positions[:, None]
        embedded = embedded.expand(len(t), -1)
        return self.position(torch.cat([embedded, t, t * (1 - t), t * t], dim=1))

    def head(self, features: Tensor, embedded: Tensor, positions: Tensor) -> Tensor:
        """Return the residual (B, H, W) in unit range at `positions` (B or 1,) in (0, 1)."""
        shift = self.position_shifts(embedded, positions)
        folded = self.last(functional.leaky_relu_(features + shift[:, :, None, None], SLOPE))
        return channels_to_space(folded, *self.shape.patch)[:, 0] * RESIDUAL_SCALE

    def forward(self, neighbors: Tensor, positions: Tensor, conditions: Tensor) -> Tensor:
        """Return the residual (B, H, W), unit range, relative to cubic interpolation of `neighbors` (B, 4, H, W)."""
        features, embedded = self.trunk(centered(neighbors), conditions)
        return self.head(features, embedded, positions)


class AxialNetwork(GapNetwork):
    """Corrects the mean of the coronal and sagittal predictions of a new slice; untrained, it returns this mean.

    The whole network is evaluated per new slice, so its trunk also receives the position.
    """

    def __init__(self, shape: GapShape) -> None:
        super().__init__(shape, AXIAL_READS, CONDITIONS + len(position_features(0.0)))

    def correction(
        self, neighbors: Tensor, coronal: Tensor, sagittal: Tensor, positions: Tensor, conditions: Tensor
    ) -> Tensor:
        """Return the correction (B, H, W), unit range, of the mean of `coronal` and `sagittal` (B, H, W).

        Args:
            neighbors, positions, conditions: see `forward`.
        """
        inputs = torch.cat([centered(neighbors), view_channels(coronal, sagittal, dim=1)], dim=1)
        extended_conditions = torch.cat([conditions, *(part[:, None] for part in position_features(positions))], dim=1)
        features, embedded = self.trunk(inputs, extended_conditions)
        return self.head(features, embedded, positions)


def view_channels(coronal: Tensor, sagittal: Tensor, dim: int) -> Tensor:
    """Return the input channels of an `AxialNetwork` from two views, stacked along `dim`: centered mean and difference."""
    return torch.stack([centered((coronal + sagittal) / 2), _DIFFERENCE_SCALE * (coronal - sagittal)], dim=dim)


def position_features(position: _Position) -> tuple[_Position, _Position]:
    """Return the position-dependent conditions of an `AxialNetwork`, in addition to the scan's condition."""
    return 2 * position - 1, 4 * position * (1 - position)
