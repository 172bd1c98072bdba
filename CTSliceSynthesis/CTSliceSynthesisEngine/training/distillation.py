"""One training step: which view learns from which data.

    in-plane crops, dense crops --truth--> through-plane network (coronal and sagittal view)
    dense crops -----------------truth--> axial network
    dense crops, native gaps ----mean of coronal and sagittal----> axial network

An *in-plane* crop comes from one sharp slice, with one of its in-plane axes used as slice axis. A *dense* crop comes from a
scan with slices close enough to be withheld as ground truth. A *native gap* lies between two neighboring slices of a scan,
where nothing was acquired: the only target is the mean of the coronal and sagittal predictions, the teachers.

There are two kinds of axial network. A parallel one reads acquired slices only, and learns the mean of the other views where
there is no ground truth. A sequential one (`axial_last`) runs after the other views, reads their predictions as well, and
learns from withheld slices to correct their mean; untrained, it returns that mean. No gradient flows from the student (axial)
back to the teachers.

Training one scale coarser, as published, does not transfer to the requested scale, and views that only agree with each other
can agree on the same error. So the through-plane network learns from ground truth at the right scale. The mutual
agreement of Fang et al. (CVPR 2022, section 3.3) is only part of the recipe `published` (objectives/published_step.py):
added here, it made the views alike and cost 0.1 to 0.4 dB (Testing/benchmarks/README.md).
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
    """Crops and loss weights of one step.

    Attributes:
        through_plane_crops, through_plane_size: crops for the through-plane network, (rows, pixels along the plane).
        axial_crops, native_crops, axial_size: crops with and without ground truth for the axial network.
        axial: weight of the axial error against the ground truth.
        teaching: weight of the axial error against the mean of the other views.
        squared_share: fraction at the end of the run that uses a squared loss against ground truth. An absolute loss leads
            to the median of the possible values, which in lung is below the mean, because most voxels are air and few vessel.
        margin: pixels at the border of a crop that are not scored, since they are affected by zero padding.
        softness: softness of the Charbonnier loss, unit range: quadratic well below it, linear above.
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
    """Crops of one step; see `Crop` for shapes."""

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
    """Return the mean of sqrt(error^2 + softness^2) - softness."""
    return (error.square() + softness**2).sqrt().mean() - softness


def squared(error: Tensor, softness: float) -> Tensor:
    """Return the mean of error^2 / (8 softness): quadratic for all errors, of the same magnitude as `charbonnier`.

    Both have almost the same gradient at an error of 4 softness (80 HU by default), typical of an edge.
    """
    return error.square().mean() / (8 * softness)


def losses(
    networks: nn.ModuleDict, batch: Batch, settings: StepSettings, device: torch.device, share: float = 0.0
) -> dict[str, Tensor]:
    """Return the loss terms, unit range: "through_plane" and "axial" if their crops have ground truth, and "teaching"
    (unless its weight is 0).

    Args:
        networks: "axial" and "through_plane" of a compact recipe.
        batch: from `draw`.
        share: completed fraction of the run.
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
    with torch.no_grad():  # no gradient to the teachers
        coronal, sagittal = planes(networks, gap)
        mean = (coronal + sagittal) / 2
    prediction = axial(networks, gap, coronal, sagittal)
    inner, with_truth = (slice(None), slice(m, -m), slice(m, -m)), len(batch.axial.target)
    if with_truth:
        terms["axial"] = settings.axial * against_truth((prediction - target)[inner][:with_truth], softness)
    if settings.teaching:
        terms["teaching"] = settings.teaching * charbonnier((prediction - mean)[inner], softness)
    return terms
