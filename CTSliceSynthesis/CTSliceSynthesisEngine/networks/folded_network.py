"""A gap network made ready for one scan.

What the network is told of a scan, and the positions of the new slices, are the same for every gap of it. They enter as
shifts of features, so they fold into the biases of the convolutions before them, once; what is left for every gap is
convolutions, activations and sums, in place, in the precision that the processor is fastest in.

The images of a pixel, four slices or more, lie side by side in memory, as convolutions like it. Then a patch of columns
folds into channels by another look at the same memory, and only a patch of rows takes a copy:

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
        told: its condition, see `gap_network.condition`.
        positions: of the new slices in a gap, in (0, 1).
        device, dtype: of the convolutions.
        exchanged: answer for images whose rows and columns are exchanged: the kernels are turned instead of the images.
    """

    @torch.no_grad()
    def __init__(
        self,
        network: nn.Module,
        told: Sequence[float],
        positions: Sequence[float],
        device: torch.device,
        dtype: torch.dtype,
        exchanged: bool = False,
    ) -> None:
        network = copy.deepcopy(network).float().cpu()
        assert isinstance(network, GapNetwork)
        shape = network.shape
        turned = slice(None, None, -1 if exchanged else 1)
        self.patch: tuple[int, int] = shape.patch[turned]  # type: ignore[assignment]
        self.reach: tuple[int, int] = shape.reach[turned]  # type: ignore[assignment]
        self.dtype = dtype
        self._padding = same_padding(shape.kernel[turned])  # type: ignore[arg-type]
        self._place = (device, dtype, exchanged)
        embedded = network.embed(torch.tensor([list(told)]))
        shifts = network.position_shifts(embedded, torch.tensor(list(positions)))
        weight, bias = _parts(network.first)
        self._first = self._ready(_by_column(weight, shape.patch, exchanged, axis=1), bias)
        blocks = [block for block in network.blocks if isinstance(block, GapBlock)]
        self._blocks = []
        for number, block in enumerate(blocks, start=1):
            (weight, bias), (second_weight, second_bias) = _parts(block.first), _parts(block.second)
            at_end = shifts[0] if number == len(blocks) else torch.zeros(())
            first = self._ready(weight, bias + block.shift(embedded)[0])
            self._blocks.append((first, self._ready(second_weight, second_bias + at_end)))
        # The first position's shift is in a bias; the others are counted from it.
        self._further = [shift.to(device, dtype) for shift in shifts[1:] - shifts[0]]
        weight, bias = (_by_column(part, shape.patch, exchanged, axis=0) for part in _parts(network.last))
        self._last = self._ready(weight * RESIDUAL_SCALE, bias * RESIDUAL_SCALE)

    def _ready(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution, where and as it is computed."""
        device, dtype, exchanged = self._place
        weight = weight.transpose(2, 3) if exchanged else weight
        return weight.to(device, dtype).contiguous(memory_format=torch.channels_last), bias.to(device, dtype)

    def _convolved(self, x: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
        return functional.conv2d(x, *layer, padding=self._padding)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Residuals on cubic interpolation, or an axial network's on the mean of two proposals.

        Args:
            images: (B, H, W, 4 or more), centred, in the network's precision; H and W multiples of the patch.

        Returns:
            (B, H, W) for each position, unit range, in the network's precision.
        """
        x = self._convolved(_folded(images, *self.patch), self._first)
        for first, second in self._blocks:
            hidden = functional.leaky_relu_(self._convolved(x, first), SLOPE)
            x += self._convolved(hidden, second)
        further = [self._head(_shifted(x, shift)) for shift in self._further]
        return [self._head(x), *further]

    def _head(self, features: Tensor) -> Tensor:
        """Residual (B, H, W) from features, which are needed no more."""
        return _unfolded(self._convolved(functional.leaky_relu_(features, SLOPE), self._last), *self.patch)


def _parts(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias."""
    assert layer.bias is not None
    return layer.weight, layer.bias


def _by_column(weights: Tensor, patch: tuple[int, int], exchanged: bool, axis: int) -> Tensor:
    """Channels of a patch reordered along `axis`, from (image, row, column) as trained to (column, row, image).

    Args:
        patch: rows and columns as trained; a network whose axes are exchanged reads its rows as columns.
    """
    rest = weights.shape[axis + 1 :]
    split = weights.reshape(*weights.shape[:axis], -1, *patch, *rest)
    image, row, column = axis, axis + 1, axis + 2
    order = (row, column, image) if exchanged else (column, row, image)
    axes = list(range(split.ndim))
    axes[axis : axis + 3] = order
    return split.permute(axes).flatten(axis, axis + 2)


def _shifted(features: Tensor, shift: Tensor) -> Tensor:
    """features (B, C, h, w), channels-last in memory, + shift (C,): row by row, many times faster than by broadcasting."""
    pixels = features.permute(0, 2, 3, 1)
    shifted = pixels.flatten(2) + shift.repeat(features.shape[3])
    return shifted.view(pixels.shape).permute(0, 3, 1, 2)


def _folded(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """(B, H, W, C) -> (B, C x rows x columns, H / rows, W / columns), channels-last in memory."""
    batch, height, width, images = pixels.shape
    if rows > 1:  # moved in words of 4 or 8 bytes, many times faster than number by number
        word = torch.int64 if images * pixels.itemsize % 8 == 0 else torch.int32
        words = pixels.view(word).reshape(batch, height // rows, rows, width, -1).transpose(2, 3)
        pixels = words.contiguous().view(pixels.dtype)
    return pixels.reshape(batch, height // rows, width // columns, columns * rows * images).permute(0, 3, 1, 2)


def _unfolded(folded: Tensor, rows: int, columns: int) -> Tensor:
    """(B, rows x columns, h, w), channels-last in memory -> (B, h x rows, w x columns)."""
    batch, _, height, width = folded.shape
    by_rows = folded.permute(0, 2, 3, 1).reshape(batch, height, width * columns, rows)
    return by_rows.transpose(2, 3).reshape(batch, height * rows, width * columns)
