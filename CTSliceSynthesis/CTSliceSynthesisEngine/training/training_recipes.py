"""Recipes of training: what a step looks at and how fast it learns. One loop runs them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import SynthesisError
from ..networks.recipes import CompactRecipe, PublishedRecipe, Recipe
from . import distillation
from .distillation import StepSettings
from .objectives import published_step
from .objectives.published_step import PublishedStep
from .optimization.recipe import TrainingRecipe
from .scans.crops import DENSE_SPACING, THIN_SPACING, CropSettings
from .scans.scan import TrainingScan


@dataclass(frozen=True)
class GapTraining:
    """For networks of a compact recipe.

    Attributes:
        name: of the preset.
        crops: how crops are drawn.
        step: what one step looks at, see distillation.py.
        through_plane_rate, axial_rate: peak learning rates; with 0 a network stays as it is.
    """

    name: str
    crops: CropSettings = field(default_factory=CropSettings)
    step: StepSettings = field(default_factory=StepSettings)
    through_plane_rate: float = 2e-3
    axial_rate: float = 1e-3

    def problems(self, networks: Recipe, scans: Sequence[TrainingScan]) -> list[str]:
        """See `TrainingRecipe`."""
        if not isinstance(networks, CompactRecipe):
            return [f"The recipe {self.name} trains compact networks, not {networks.architecture} ones."]
        anchored = self.crops.anchor_share and self.step.through_plane_crops
        if not anchored and not any(self.crops.is_dense(scan) for scan in scans):
            spacing = self.crops.dense_spacing
            return [f"The recipe {self.name} needs a scan with slices at most {spacing:g} mm apart: take anchored."]
        return []

    def draw(self, rng: np.random.Generator, scans: list[TrainingScan]) -> distillation.Batch:
        """See `TrainingRecipe`."""
        return distillation.draw(rng, scans, self.crops, self.step)

    def losses(self, networks: nn.ModuleDict, batch: Any, share: float, device: torch.device) -> dict[str, Tensor]:
        """See `TrainingRecipe`."""
        return distillation.losses(networks, batch, self.step, device, share)

    def groups(self, networks: nn.ModuleDict) -> list[dict[str, Any]]:
        """See `TrainingRecipe`."""
        rates = {"through_plane": self.through_plane_rate, "axial": self.axial_rate}
        for view, rate in rates.items():
            networks[view].requires_grad_(rate > 0)
        return [{"params": list(networks[view].parameters()), "lr": rate} for view, rate in rates.items() if rate]


@dataclass(frozen=True)
class PublishedTraining:
    """For networks of the published recipe: three levels in one step, see published_step.py.

    Attributes:
        name: of the preset.
        factor: r, of the networks that are trained.
        step: what one step looks at, and how its terms weigh.
        rate: peak learning rate.
    """

    name: str = "published"
    factor: int = 2
    step: PublishedStep = field(default_factory=PublishedStep)
    rate: float = 1e-4

    def problems(self, networks: Recipe, scans: Sequence[TrainingScan]) -> list[str]:
        """See `TrainingRecipe`."""
        if not isinstance(networks, PublishedRecipe) or networks.factor != self.factor:
            return [
                f"The recipe {self.name} trains published networks of factor {self.factor}: choose --preset published."
            ]
        fewest = min(len(scan.voxels) for scan in scans)
        if fewest <= 2 * self.factor:
            return [f"The recipe {self.name} needs more than {2 * self.factor} slices a scan, not {fewest}."]
        return []

    def draw(self, rng: np.random.Generator, scans: list[TrainingScan]) -> np.ndarray:
        """See `TrainingRecipe`."""
        return published_step.draw_crops(rng, scans, self.step, self.factor)

    def losses(self, networks: nn.ModuleDict, batch: Any, share: float, device: torch.device) -> dict[str, Tensor]:
        """See `TrainingRecipe`."""
        return published_step.published_losses(networks, batch, self.step, self.factor, device)

    def groups(self, networks: nn.ModuleDict) -> list[dict[str, Any]]:
        """See `TrainingRecipe`."""
        return [{"params": list(networks.parameters()), "lr": self.rate}]


_THICK_ALONE = CropSettings(anchor_share=1.0, soft=False, acquired_share=0.0, dense_spacing=0.0)
_TOGETHER = StepSettings(  # each learns from truths; the axial network on what the planes leave over
    through_plane_crops=36,
    axial_crops=7,
    native_crops=0,
    axial_size=(64, 64),  # so large that most of what it reads of the planes has not seen the crop's rim
    teaching=0.0,
    squared_share=0.4,
    margin=6,
)
_PLANES_ALONE = StepSettings(axial_crops=0, native_crops=0, teaching=0.0)
_PLANES_FURTHER = replace(_PLANES_ALONE, through_plane_crops=36, squared_share=0.4, margin=6)
_BESIDE_FIXED = replace(_TOGETHER, through_plane_crops=0, axial_crops=9, squared_share=1.0)

PRESETS: dict[str, TrainingRecipe] = {
    recipe.name: recipe
    for recipe in (
        PublishedTraining(),
        # No slice of the scan is ever a truth for another, and in-plane crops fit the through-plane network alone.
        GapTraining("anchored", replace(_THICK_ALONE, own_share=0.3), _PLANES_ALONE, axial_rate=0.0),
        GapTraining("dense", step=_TOGETHER, axial_rate=2e-3),
        GapTraining("further", step=_TOGETHER, through_plane_rate=1e-3, axial_rate=2e-3),
        GapTraining("planes", CropSettings(slab_share=0.4), _PLANES_FURTHER, through_plane_rate=1e-3, axial_rate=0.0),
        GapTraining("axial", CropSettings(slab_share=0.5), _BESIDE_FIXED, through_plane_rate=0.0, axial_rate=2e-3),
    )
}
"""Named recipes. `anchored` needs no thin slice; `dense` uses in-between slices where a scan has them; `further` is the same
from trained weights, whose coronal and sagittal planes need smaller steps; `planes` trains the network of those planes alone;
`axial` leaves it as it is, and its axial network learns what is left over; `published` is the paper's. "auto" is `published`
for published networks, `dense` where a scan is thin, else `anchored`."""

ADAPTED = GapTraining(
    "adapted",
    replace(_THICK_ALONE, own_share=0.8, half_share=0.0, known_share=0.9),
    _PLANES_ALONE,
    through_plane_rate=5e-4,
    axial_rate=0.0,
)
"""A few minutes on one scan, from trained weights: at its own spacing mostly, and in small steps, to forget little."""


def dense_spacing(wanted: str | TrainingRecipe) -> float:
    """Up to which slice spacing, in mm, a recipe takes a scan's own slices as truths; "auto" may."""
    recipe = PRESETS.get(wanted) if isinstance(wanted, str) else wanted
    if isinstance(recipe, PublishedTraining):
        return 0.0
    return recipe.crops.dense_spacing if isinstance(recipe, GapTraining) else DENSE_SPACING


def chosen(wanted: str | TrainingRecipe, networks: Recipe, scans: Sequence[TrainingScan]) -> TrainingRecipe:
    """The recipe itself, the one of a name, or for "auto" the one that fits the networks and the scans.

    Raises:
        SynthesisError: "bad-option" for an unknown name, or scans that cannot be learned from so.
    """
    recipe = _named(wanted, networks, scans) if isinstance(wanted, str) else wanted
    if isinstance(recipe, PublishedTraining) and isinstance(networks, PublishedRecipe):
        recipe = PublishedTraining(recipe.name, networks.factor, recipe.step, recipe.rate)
    for problem in recipe.problems(networks, scans):
        raise SynthesisError("bad-option", problem)
    return recipe


def _named(name: str, networks: Recipe, scans: Sequence[TrainingScan]) -> TrainingRecipe:
    if name == "auto" and isinstance(networks, PublishedRecipe):
        name = "published"
    elif name == "auto":
        name = "dense" if any(scan.slice_spacing <= THIN_SPACING for scan in scans) else "anchored"
    if name not in PRESETS:
        raise SynthesisError("bad-option", f"The recipe is one of auto, {', '.join(PRESETS)}, not {name!r}.")
    return PRESETS[name]
