"""Predictions of the three views for a batch of gaps during training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...networks.gap_network import AxialNetwork, cubic_weights
from ..scans.crops import Crop


class Gap(NamedTuple):
    """A batch of gaps as tensors; see `crops.Crop` for shapes."""

    neighbours: Tensor
    position: Tensor
    conditions: Tensor

    @property
    def exchanged(self) -> Gap:
        """The gap with rows and columns exchanged, which turns the sagittal view into the coronal one."""
        return self._replace(neighbours=self.neighbours.transpose(2, 3))


def as_gap(crop: Crop, device: torch.device) -> tuple[Gap, Tensor]:
    """Convert a batch of crops to gaps and their ground truth (B, h, w)."""
    neighbours, target, position, conditions = (torch.from_numpy(part).to(device, non_blocking=True) for part in crop)
    return Gap(neighbours, position, conditions), target


def answer(network: nn.Module, gap: Gap) -> Tensor:
    """Return new slices (B, h, w), unit range, of a network that reads acquired slices only."""
    cubic = torch.einsum("bnhw,bn->bhw", gap.neighbours, cubic_weights(gap.position))
    return cubic + network(*gap).float()


def planes(networks: nn.ModuleDict, gap: Gap) -> tuple[Tensor, Tensor]:
    """Return the coronal and the sagittal prediction, (B, h, w) each."""
    through_plane = networks["through_plane"]
    return answer(through_plane, gap), answer(through_plane, gap.exchanged).transpose(1, 2)


def axial(networks: nn.ModuleDict, gap: Gap, coronal: Tensor, sagittal: Tensor) -> Tensor:
    """Return the axial prediction (B, h, w), based on the other two or parallel to them, depending on the network."""
    network = networks["axial"]
    if not isinstance(network, AxialNetwork):
        return answer(network, gap)
    correction = network.correction(gap.neighbours, coronal, sagittal, gap.position, gap.conditions)
    return (coronal + sagittal) / 2 + correction.float()
