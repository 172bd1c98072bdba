"""A gap network made ready for one scan.

What the network is told of a scan, and the positions of the new slices, are the same for every gap of it. They enter as
shifts of features, so they fold into the biases of the convolutions before them, once; what is left for every gap is
convolutions, activations and sums, in place, in the precision that the processor is fastest in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import channels_to_space, same_padding, space_to_channels
from .gap_network import RESIDUAL_SCALE, SLOPE, GapBlock, GapNetwork, centred


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
        self._first = self._folded(network.first)
        blocks = [block for block in network.blocks if isinstance(block, GapBlock)]
        self._blocks = [
            (self._folded(block.first, block.shift(embedded)[0]), self._folded(block.second)) for block in blocks
        ]
        shifts = network.position_shifts(embedded, torch.tensor(list(positions)))
        self._shifts = [shift.to(device, dtype)[None, :, None, None] for shift in shifts]
        self._last = self._folded(network.last, scale=RESIDUAL_SCALE)

    def _folded(self, layer: nn.Conv2d, shift: Tensor | float = 0.0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution, with a shift of its answer folded in."""
        device, dtype, exchanged = self._place
        assert layer.bias is not None
        weight, bias = layer.weight * scale, layer.bias * scale + shift
        weight = weight.transpose(2, 3) if exchanged else weight
        return weight.to(device, dtype).contiguous(memory_format=torch.channels_last), bias.to(device, dtype)

    def _convolved(self, x: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
        return functional.conv2d(x, *layer, padding=self._padding)

    @torch.inference_mode()
    def __call__(self, neighbours: Tensor) -> list[Tensor]:
        """Residuals on cubic interpolation.

        Args:
            neighbours: (B, 4, H, W) from `prepared`, H and W multiples of the patch.

        Returns:
            (B, H, W) for each position, unit range, in the network's precision.
        """
        x = self._convolved(space_to_channels(neighbours, *self.patch), self._first)
        for first, second in self._blocks:
            hidden = functional.leaky_relu_(self._convolved(x, first), SLOPE)
            x += self._convolved(hidden, second)
        residuals = []
        for index, shift in enumerate(self._shifts):
            is_last = index == len(self._shifts) - 1  # the features are needed no more: shift them in place
            shifted = x.add_(shift) if is_last else x + shift
            folded = self._convolved(functional.leaky_relu_(shifted, SLOPE), self._last)
            residuals.append(channels_to_space(folded, *self.patch)[:, 0])
        return residuals

    def prepared(self, units: Tensor) -> Tensor:
        """Slices in unit range as this network wants them: centred, in its precision."""
        return centred(units).to(self.dtype)
