"""One training step: which view learns from what.

    in-plane crops, dense crops --truth--> through-plane network (coronal and sagittal view)
    dense crops -----------------truth--> axial network
    dense crops, native gaps <--the mean of coronal and sagittal-- through-plane network, which teaches the axial network

An *in-plane* crop comes from one sharp slice: one of its axes plays the slice axis. A *dense* crop comes from a scan whose own
slices are near enough to be withheld as truth. A *native gap* lies between two neighboring slices of a scan, where nothing was
acquired and only a teacher can answer.

There are two kinds of axial network. One that stands beside the others reads acquired slices alone, and learns the other views'
mean where there is no truth. One that answers last (`axial_last`) also reads what coronal and sagittal propose, and learns to
correct their mean from withheld slices; untrained, it answers with that mean. The teachers never follow their pupil: no
gradient flows back to them.

Training one scale coarser, as published, does not transfer to the scale that is asked for, and views that only agree with each
other can agree on the same mistake. So the through-plane network learns from true answers at the right scale. The mutual
agreement of Fang et al. (CVPR 2022, section 3.3) is part of the recipe `published` alone (objectives/published_step.py): added
here, it made the views alike and cost 0.1 to 0.4 dB (Testing/benchmarks/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .objectives.view_answers import answer, as_gap, axial, planes
from .scans.crops import Crop, CropSettings, draw_batch, draw_native_batch
from .scans.scan import TrainingScan


@dataclass(frozen=True)
class StepSettings:
    """What one step learns from, and how its terms are weighted.

    Attributes:
        through_plane_crops, through_plane_size: crops for the through-plane network, (rows, pixels along the plane).
        axial_crops, native_crops, axial_size: crops with and without truth for the axial network.
        axial: weight of the axial answer against the truth, where there is one.
        teaching: weight of the axial answer against the other views' mean.
        squared_share: of the run, at its end, in which errors against a truth count squared. By their size alone, the
            answer is the median of what could be there, which in lung lies below the mean: air is common, vessels rare.
        margin: pixels at the rim of a crop that are not scored: they see zero padding.
        softness: of the Charbonnier loss, unit range: errors well below count squared, above by their size.
    """

    through_plane_crops: int = 64
    through_plane_size: tuple[int, int] = (8, 96)
    axial_crops: int = 6
    native_crops: int = 2
    axial_size: tuple[int, int] = (48, 48)
    axial: float = 1.0
    teaching: float = 1.0
    squared_share: float = 0.25
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


def squared(error: Tensor, softness: float) -> Tensor:
    """Mean of error^2 / (8 softness): squared for errors of all sizes, and of the same order as `charbonnier`.

    Both pull alike at an error of 4 softness (80 HU by default), about that of an edge.
    """
    return error.square().mean() / (8 * softness)


def losses(
    networks: nn.ModuleDict, batch: Batch, settings: StepSettings, device: torch.device, share: float = 0.0
) -> dict[str, Tensor]:
    """The terms to minimize, unit range: "through_plane"; "axial" where there is a truth; "teaching" if it has a weight.

    Args:
        networks: "axial" and "through_plane" of a compact recipe.
        batch: from `draw`.
        share: of the run that is over.
    """
    m, softness = settings.margin, settings.softness
    against_truth = squared if share >= 1 - settings.squared_share else charbonnier

    terms: dict[str, Tensor] = {}
    if len(batch.through_plane.target):
        gap, target = as_gap(batch.through_plane, device)
        terms["through_plane"] = against_truth((answer(networks["through_plane"], gap) - target)[..., m:-m], softness)

    if not len(batch.axial.target) + len(batch.native.target):
        return terms
    square = Crop(*(np.concatenate(parts) for parts in zip(batch.axial, batch.native, strict=True)))
    gap, target = as_gap(square, device)
    with torch.no_grad():  # the teachers do not follow their pupil
        coronal, sagittal = planes(networks, gap)
        mean = (coronal + sagittal) / 2
    found = axial(networks, gap, coronal, sagittal)
    inner, with_truth = (slice(None), slice(m, -m), slice(m, -m)), len(batch.axial.target)
    if with_truth:
        terms["axial"] = settings.axial * against_truth((found - target)[inner][:with_truth], softness)
    if settings.teaching:
        terms["teaching"] = settings.teaching * charbonnier((found - mean)[inner], softness)
    return terms
