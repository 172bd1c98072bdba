"""One training step as published: three levels of the same two networks, from thick slices only.

    level 0   every r-th slice of the crop -> the slices between     known: they were left out
    level 1   all slices of the crop       -> the slices between     unknown: the views should agree
    level 2   slices of level 1            -> the slices between     unknown: the views should agree

Source: Fang et al., Incremental Cross-view Mutual Distillation, CVPR 2022 (arXiv 2112.10325), sections 3.1 and 3.3. Each
view is only compared with the axial one, both receive gradients, and gradients of level 2 flow through level 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...networks.slice_interpolator import MemoryLosses
from ...synthesis import views
from ...volume.intensity import to_unit
from ..scans.scan import TrainingScan
from .published_losses import agreement, detail_loss


@dataclass(frozen=True)
class PublishedStep:
    """Crops and loss weights of one step.

    Attributes:
        crops: batch size.
        size: size of a crop: slices, rows, columns. Short scans give fewer slices; rows and columns are multiples of 8,
            for the wavelet.
        detail, compactness, separateness: weights of the wavelet detail and of the two losses of the memory.
        agreement: weight of each of the four differences between the axial and another view, at level 1 and 2.
        agreement_share: gamma, the fraction of voxels used: those where the views differ least.
        levels: last level that is computed: 0, 1 or 2.
    """

    crops: int = 1
    size: tuple[int, int, int] = (33, 64, 64)
    detail: float = 0.1
    compactness: float = 0.1
    separateness: float = 0.1
    agreement: float = 0.15
    agreement_share: float = 0.25
    levels: int = 2


class Views(NamedTuple):
    """Predictions of the three views for one stack of slices.

    Attributes:
        axial, coronal, sagittal: (G, r - 1, H, W) new slices, unit range, of each of the stack's G gaps.
        memory: the losses of the axial network's memory.
    """

    axial: Tensor
    coronal: Tensor
    sagittal: Tensor
    memory: MemoryLosses


def draw_crops(rng: np.random.Generator, scans: list[TrainingScan], step: PublishedStep, factor: int) -> np.ndarray:
    """Draw a batch of crops, (B, D, H, W) unit range, flipped at random; D - 1 is a multiple of the factor."""
    chosen = [scans[int(rng.integers(len(scans)))] for _ in range(step.crops)]
    depth = min(step.size[0], *(len(scan.voxels) for scan in chosen))
    depth -= (depth - 1) % factor
    return np.stack([_crop(rng, scan.voxels, (depth, *step.size[1:])) for scan in chosen])


def _crop(rng: np.random.Generator, voxels: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    first = [int(rng.integers(0, have - want + 1)) for have, want in zip(voxels.shape, size, strict=True)]
    crop = to_unit(voxels[tuple(slice(at, at + want) for at, want in zip(first, size, strict=True))])
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in size)
    return crop[flips]


def published_losses(
    networks: nn.ModuleDict, crops: np.ndarray, step: PublishedStep, factor: int, device: torch.device
) -> dict[str, Tensor]:
    """Return the weighted loss terms, averaged over the batch. See the module docstring.

    Args:
        networks: "axial" and "through_plane" of a published recipe.
        crops: from `draw_crops`.
    """
    each = [_losses_of(networks, torch.from_numpy(crop.copy()).to(device), step, factor) for crop in crops]
    return {name: torch.stack([terms[name] for terms in each]).mean() for name in each[0]}


def _losses_of(networks: nn.ModuleDict, crop: Tensor, step: PublishedStep, factor: int) -> dict[str, Tensor]:
    predictions, truth = answers(networks, [crop[::factor]] * 3), left_out(crop, factor)
    known = predictions[:3]
    terms = {
        "level_0": torch.stack([(view - truth).abs().mean() for view in known]).sum(),
        "detail": step.detail * torch.stack([detail_loss(view, truth) for view in known]).sum(),
        "compactness": step.compactness * predictions.memory.compactness,
        "separateness": step.separateness * predictions.memory.separateness,
    }
    stacks = [crop] * 3
    for level in range(1, step.levels + 1):
        predictions = answers(networks, stacks)
        pairs = [
            agreement(predictions.axial, other, step.agreement_share)
            for other in (predictions.coronal, predictions.sagittal)
        ]
        terms[f"level_{level}"] = step.agreement * torch.stack(pairs).sum()
        stacks = [interleave(stack, view) for stack, view in zip(stacks, predictions[:3], strict=True)]
    return terms


def answers(networks: nn.ModuleDict, stacks: list[Tensor]) -> Views:
    """Predict new slices from stacks (D, H, W), one per view: at level 2, each view continues from its own slices."""
    for_axial, for_coronal, for_sagittal = stacks
    axial, memory = networks["axial"](torch.stack([for_axial[:-1], for_axial[1:]], dim=1))
    coronal = views.from_coronal_planes(networks["through_plane"](views.coronal_planes(for_coronal)))
    turned = networks["through_plane"](views.coronal_planes(views.swap_rows_columns(for_sagittal)))
    return Views(axial, coronal, views.swap_rows_columns(views.from_coronal_planes(turned)), memory)


def left_out(crop: Tensor, factor: int) -> Tensor:
    """Return the slices between every `factor`-th one: (D, H, W) -> (G, r - 1, H, W)."""
    gaps = (len(crop) - 1) // factor
    return torch.stack([crop[step::factor][:gaps] for step in range(1, factor)], dim=1)


def interleave(stack: Tensor, new_slices: Tensor) -> Tensor:
    """Interleave new slices (G, r - 1, H, W) with a stack (G + 1, H, W); return (G * r + 1, H, W)."""
    gaps = torch.cat([stack[:-1, None], new_slices], dim=1)
    return torch.cat([gaps.flatten(0, 1), stack[-1:]])
