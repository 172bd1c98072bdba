"""What the three views answer to a batch of gaps while they learn."""

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
        """Rows and columns exchanged: the sagittal view seen as the coronal one."""
        return self._replace(neighbours=self.neighbours.transpose(2, 3))


def as_gap(crop: Crop, device: torch.device) -> tuple[Gap, Tensor]:
    """The gaps of a batch of crops, and their true answers (B, h, w)."""
    neighbours, target, position, conditions = (torch.from_numpy(part).to(device, non_blocking=True) for part in crop)
    return Gap(neighbours, position, conditions), target


def answer(network: nn.Module, gap: Gap) -> Tensor:
    """New slices (B, h, w), unit range, of a network that reads acquired slices alone."""
    cubic = torch.einsum("bnhw,bn->bhw", gap.neighbours, cubic_weights(gap.position))
    return cubic + network(*gap).float()


def planes(networks: nn.ModuleDict, gap: Gap) -> tuple[Tensor, Tensor]:
    """The coronal and the sagittal answer, (B, h, w) each."""
    through_plane = networks["through_plane"]
    return answer(through_plane, gap), answer(through_plane, gap.exchanged).transpose(1, 2)


def axial(networks: nn.ModuleDict, gap: Gap, coronal: Tensor, sagittal: Tensor) -> Tensor:
    """The axial answer (B, h, w), after the other two or beside them, as the networks are built."""
    network = networks["axial"]
    if not isinstance(network, AxialNetwork):
        return answer(network, gap)
    found = network.correction(gap.neighbours, coronal, sagittal, gap.position, gap.conditions)
    return (coronal + sagittal) / 2 + found.float()
