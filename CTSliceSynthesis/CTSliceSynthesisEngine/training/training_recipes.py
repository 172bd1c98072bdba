"""Training recipes: crops, loss weights and learning rates. The same training loop runs all of them."""

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
    """Recipe for compact networks.

    Attributes:
        name: name of the preset.
        crops: sampling of crops.
        step: settings of one step, see distillation.py.
        through_plane_rate, axial_rate: peak learning rates; 0 freezes a network.
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
    """Recipe for published networks: three levels in one step, see published_step.py.

    Attributes:
        name: name of the preset.
        factor: upsampling factor r of the networks.
        step: settings of one step.
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
_TOGETHER = StepSettings(  # all learn from ground truth; the axial network corrects the residual of the others
    through_plane_crops=36,
    axial_crops=7,
    native_crops=0,
    axial_size=(64, 64),  # so large that most of the other views' predictions are unaffected by the crop's border
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
        # No slice of the scan is ground truth for another, and in-plane crops fit the through-plane network only.
        GapTraining("anchored", replace(_THICK_ALONE, own_share=0.3), _PLANES_ALONE, axial_rate=0.0),
        GapTraining("dense", step=_TOGETHER, axial_rate=2e-3),
        GapTraining("further", step=_TOGETHER, through_plane_rate=1e-3, axial_rate=2e-3),
        GapTraining("planes", CropSettings(slab_share=0.4), _PLANES_FURTHER, through_plane_rate=1e-3, axial_rate=0.0),
        GapTraining("axial", CropSettings(slab_share=0.5), _BESIDE_FIXED, through_plane_rate=0.0, axial_rate=2e-3),
    )
}
"""Named recipes. `anchored` needs no thin slices; `dense` also uses intermediate slices of thin scans; `further` is the same
for trained weights, with a lower learning rate of the through-plane network; `planes` trains only the through-plane network;
`axial` freezes it, and the axial network learns the residual; `published` is the paper's recipe. "auto" is `published`
for published networks, `dense` if a scan is thin, else `anchored`."""

ADAPTED = GapTraining(
    "adapted",
    replace(_THICK_ALONE, own_share=0.8, half_share=0.0, known_share=0.9),
    _PLANES_ALONE,
    through_plane_rate=5e-4,
    axial_rate=0.0,
)
"""Fine-tuning on one scan: mostly at its own spacing, and with a low learning rate, to forget little."""


def dense_spacing(requested: str | TrainingRecipe) -> float:
    """Return the largest slice spacing in mm at which a recipe uses slices as ground truth; for "auto", the one of `dense`."""
    recipe = PRESETS.get(requested) if isinstance(requested, str) else requested
    if isinstance(recipe, PublishedTraining):
        return 0.0
    return recipe.crops.dense_spacing if isinstance(recipe, GapTraining) else DENSE_SPACING


def select(requested: str | TrainingRecipe, networks: Recipe, scans: Sequence[TrainingScan]) -> TrainingRecipe:
    """Return the recipe itself, the one with a name, or for "auto" the one that fits the networks and the scans.

    Raises:
        SynthesisError: "bad-option" for an unknown name, or scans that do not suit the recipe.
    """
    recipe = _by_name(requested, networks, scans) if isinstance(requested, str) else requested
    if isinstance(recipe, PublishedTraining) and isinstance(networks, PublishedRecipe):
        recipe = PublishedTraining(recipe.name, networks.factor, recipe.step, recipe.rate)
    for problem in recipe.problems(networks, scans):
        raise SynthesisError("bad-option", problem)
    return recipe


def _by_name(name: str, networks: Recipe, scans: Sequence[TrainingScan]) -> TrainingRecipe:
    if name == "auto" and isinstance(networks, PublishedRecipe):
        name = "published"
    elif name == "auto":
        name = "dense" if any(scan.slice_spacing <= THIN_SPACING for scan in scans) else "anchored"
    if name not in PRESETS:
        raise SynthesisError("bad-option", f"The recipe is one of auto, {', '.join(PRESETS)}, not {name!r}.")
    return PRESETS[name]
