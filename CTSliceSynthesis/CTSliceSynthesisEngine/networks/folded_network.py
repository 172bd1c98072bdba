"""A gap network prepared for inference on one scan.

The scan's condition and the positions of the new slices are the same for every gap. They enter as feature shifts, which are
folded into the biases of the preceding convolutions once per scan. Per gap, only convolutions, activations and sums remain,
computed in place and in the fastest precision of the processor.

The four or more images are stored channels-last, as preferred by convolutions. A patch of columns can then be folded into
channels as a view of the same memory, and only a patch of rows requires a copy:

    (B, H, W, 4)  --rows-->  (B, H/2, W, 2 x 4)  --columns-->  (B, H/2, W/2, 2 x 2 x 4)     channels: column, row, image
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import same_padding
from .gap_network import RESIDUAL_SCALE, SLOPE, GapBlock, GapNetwork


class FoldedGapNetwork:
    """Inference of a `GapNetwork` for one condition and a list of positions.

    Args:
        network: trained.
        conditions: of the scan, see `gap_network.condition`.
        positions: of the new slices in a gap, in (0, 1).
        device, dtype: of the convolutions.
        swapped: whether rows and columns of the images are swapped: the kernels are transposed instead of the images.
    """

    @torch.no_grad()
    def __init__(
        self,
        network: nn.Module,
        conditions: Sequence[float],
        positions: Sequence[float],
        device: torch.device,
        dtype: torch.dtype,
        swapped: bool = False,
    ) -> None:
        network = copy.deepcopy(network).float().cpu()
        assert isinstance(network, GapNetwork)
        shape = network.shape
        order = slice(None, None, -1 if swapped else 1)
        self.patch: tuple[int, int] = shape.patch[order]  # type: ignore[assignment]
        self.reach: tuple[int, int] = shape.reach[order]  # type: ignore[assignment]
        self.dtype = dtype
        self._padding = same_padding(shape.kernel[order])  # type: ignore[arg-type]
        self._place = (device, dtype, swapped)
        embedded = network.embed(torch.tensor([list(conditions)]))
        shifts = network.position_shifts(embedded, torch.tensor(list(positions)))
        weight, bias = _weight_and_bias(network.first)
        self._first = self._prepare(_by_column(weight, shape.patch, swapped, axis=1), bias)
        blocks = [block for block in network.blocks if isinstance(block, GapBlock)]
        self._blocks = []
        for number, block in enumerate(blocks, start=1):
            (weight, bias), (second_weight, second_bias) = _weight_and_bias(block.first), _weight_and_bias(block.second)
            final_shift = shifts[0] if number == len(blocks) else torch.zeros(())
            first = self._prepare(weight, bias + block.shift(embedded)[0])
            self._blocks.append((first, self._prepare(second_weight, second_bias + final_shift)))
        # The first position's shift is in a bias; the others are relative to it.
        self._further = [shift.to(device, dtype) for shift in shifts[1:] - shifts[0]]
        weight, bias = (_by_column(part, shape.patch, swapped, axis=0) for part in _weight_and_bias(network.last))
        self._last = self._prepare(weight * RESIDUAL_SCALE, bias * RESIDUAL_SCALE)

    def _prepare(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a convolution on the device, in its precision and memory layout."""
        device, dtype, swapped = self._place
        weight = weight.transpose(2, 3) if swapped else weight
        return weight.to(device, dtype).contiguous(memory_format=torch.channels_last), bias.to(device, dtype)

    def _convolve(self, x: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
        return functional.conv2d(x, *layer, padding=self._padding)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Predict residuals relative to cubic interpolation, or (axial networks) to the mean of the other two views.

        Args:
            images: (B, H, W, 4 or more), centered, in the network's precision; H and W multiples of the patch.

        Returns:
            (B, H, W) for each position, unit range, in the network's precision.
        """
        x = self._convolve(_fold(images, *self.patch), self._first)
        for first, second in self._blocks:
            hidden = functional.leaky_relu_(self._convolve(x, first), SLOPE)
            x += self._convolve(hidden, second)
        further = [self._head(_shift(x, shift)) for shift in self._further]
        return [self._head(x), *further]

    def _head(self, features: Tensor) -> Tensor:
        """Return the residual (B, H, W) from features, which are overwritten."""
        return _unfold(self._convolve(functional.leaky_relu_(features, SLOPE), self._last), *self.patch)


def _weight_and_bias(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer."""
    assert layer.bias is not None
    return layer.weight, layer.bias


def _by_column(weights: Tensor, patch: tuple[int, int], swapped: bool, axis: int) -> Tensor:
    """Reorder the channels of a patch along `axis` from (image, row, column), as trained, to (column, row, image).

    Args:
        patch: rows and columns as trained; a network with swapped axes reads its rows as columns.
    """
    rest = weights.shape[axis + 1 :]
    split = weights.reshape(*weights.shape[:axis], -1, *patch, *rest)
    image, row, column = axis, axis + 1, axis + 2
    order = (row, column, image) if swapped else (column, row, image)
    axes = list(range(split.ndim))
    axes[axis : axis + 3] = order
    return split.permute(axes).flatten(axis, axis + 2)


def _shift(features: Tensor, shift: Tensor) -> Tensor:
    """Add shift (C,) to features (B, C, h, w), channels-last, row by row: many times faster than broadcasting."""
    pixels = features.permute(0, 2, 3, 1)
    shifted = pixels.flatten(2) + shift.repeat(features.shape[3])
    return shifted.view(pixels.shape).permute(0, 3, 1, 2)


def _fold(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """Fold patches into channels: (B, H, W, C) -> (B, C x rows x columns, H / rows, W / columns), channels-last."""
    batch, height, width, images = pixels.shape
    if rows > 1:  # copying 4- or 8-byte words is many times faster than copying single numbers
        word = torch.int64 if images * pixels.itemsize % 8 == 0 else torch.int32
        words = pixels.view(word).reshape(batch, height // rows, rows, width, -1).transpose(2, 3)
        pixels = words.contiguous().view(pixels.dtype)
    return pixels.reshape(batch, height // rows, width // columns, columns * rows * images).permute(0, 3, 1, 2)


def _unfold(folded: Tensor, rows: int, columns: int) -> Tensor:
    """Unfold channels into patches: (B, rows x columns, h, w), channels-last -> (B, h x rows, w x columns)."""
    batch, _, height, width = folded.shape
    by_rows = folded.permute(0, 2, 3, 1).reshape(batch, height, width * columns, rows)
    return by_rows.transpose(2, 3).reshape(batch, height * rows, width * columns)
