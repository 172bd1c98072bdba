"""One step of learning: the views teach each other.

    dense and in-plane crops --truth--> through-plane network (coronal, sagittal)
    dense crops -------------truth--> axial network <--mean of coronal and sagittal-- through-plane network
    native gaps (no truth) ---------> axial network <--mean of coronal and sagittal-- through-plane network

Learning one scale coarser, as published, does not transfer to the scale that is asked for, and views that only agree can
agree on the same mistake. So the through-plane network learns from true answers at the right scale, and the axial
network, which has none where the cohort is thick, learns from the mean of the other two views as well: that mean has less
noise than a true slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.gap_network import GapNetwork, cubic_weights
from .cohort import TrainingScan
from .crops import Crop, CropSettings, draw_batch, draw_native_batch


@dataclass(frozen=True)
class StepSettings:
    """What one step looks at.

    Attributes:
        through_plane_crops, through_plane_size: crops for the through-plane network, (rows, pixels along the plane).
        axial_crops, native_crops, axial_size: crops with and without truth for the axial network.
        teaching: weight of the other views' mean against the truth, where there is one.
        margin: pixels at the rim of a crop that are not scored: they see zero padding.
        softness: of the Charbonnier loss, unit range: errors well below count squared, above by their size.
    """

    through_plane_crops: int = 64
    through_plane_size: tuple[int, int] = (8, 96)
    axial_crops: int = 6
    native_crops: int = 2
    axial_size: tuple[int, int] = (48, 48)
    teaching: float = 1.0
    margin: int = 4
    softness: float = 0.005


@dataclass(frozen=True)
class Batch:
    """What one step learns from; see `Crop` for shapes."""

    through_plane: Crop
    axial: Crop
    native: Crop


def draw(rng: np.random.Generator, scans: list[TrainingScan], crops: CropSettings, step: StepSettings) -> Batch:
    """Draw the crops of one step."""
    return Batch(
        draw_batch(rng, scans, crops, step.through_plane_crops, step.through_plane_size, anchor=True),
        draw_batch(rng, scans, crops, step.axial_crops, step.axial_size, anchor=False),
        draw_native_batch(rng, scans, crops, step.native_crops, step.axial_size),
    )


def charbonnier(error: Tensor, softness: float) -> Tensor:
    """Mean of sqrt(error^2 + softness^2) - softness."""
    return (error.square() + softness**2).sqrt().mean() - softness


def losses(networks: nn.ModuleDict, batch: Batch, settings: StepSettings, device: torch.device) -> dict[str, Tensor]:
    """The terms to be made small: "through_plane", "axial" and "teaching", unit range.

    Args:
        networks: "axial" and "through_plane" of a compact recipe.
    """
    m, softness = settings.margin, settings.softness
    through_plane, axial = networks["through_plane"], networks["axial"]
    assert isinstance(through_plane, GapNetwork) and isinstance(axial, GapNetwork)

    answer, target = _answer(through_plane, batch.through_plane, device)
    terms = {"through_plane": charbonnier((answer - target)[..., m:-m], softness)}

    square = Crop(*(np.concatenate(parts) for parts in zip(batch.axial, batch.native, strict=True)))
    answer, target = _answer(axial, square, device)
    inner, with_truth = (slice(None), slice(m, -m), slice(m, -m)), len(batch.axial.target)
    terms["axial"] = charbonnier((answer - target)[inner][:with_truth], softness)
    taught = _mean_of_planes(through_plane, square, device)
    terms["teaching"] = settings.teaching * charbonnier((answer - taught)[inner], softness)
    return terms


def _tensors(crop: Crop, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(part).to(device, non_blocking=True) for part in crop)


def _answer(network: GapNetwork, crop: Crop, device: torch.device) -> tuple[Tensor, Tensor]:
    """The network's new slices and the true ones, (B, h, w)."""
    neighbours, target, position, conditions = _tensors(crop, device)
    cubic = torch.einsum("bnhw,bn->bhw", neighbours, cubic_weights(position))
    return cubic + network(neighbours, position, conditions).float(), target


@torch.no_grad()
def _mean_of_planes(network: GapNetwork, crop: Crop, device: torch.device) -> Tensor:
    """Mean of the coronal and the sagittal answer, (B, h, w): what the axial network is taught."""
    coronal, _ = _answer(network, crop, device)
    turned = Crop(crop.neighbours.swapaxes(2, 3), crop.target.swapaxes(1, 2), crop.position, crop.conditions)
    sagittal, _ = _answer(network, turned, device)
    return (coronal + sagittal.transpose(1, 2)) / 2
