"""Construction of networks from a recipe."""

from __future__ import annotations

from torch import nn

from .gap_network import AxialNetwork, GapNetwork
from .plane_upscaler import PlaneUpscaler
from .recipes import CompactRecipe, Recipe
from .slice_interpolator import SliceInterpolator


def build(recipe: Recipe) -> nn.ModuleDict:
    """Build untrained networks "axial" and "through_plane" (shared by the coronal and sagittal views)."""
    if isinstance(recipe, CompactRecipe):
        axial_kind = AxialNetwork if recipe.axial_last else GapNetwork
        return nn.ModuleDict({"axial": axial_kind(recipe.axial), "through_plane": GapNetwork(recipe.through_plane)})
    axial = SliceInterpolator(
        recipe.factor,
        recipe.axial_groups,
        recipe.axial_blocks,
        recipe.axial_reduction,
        recipe.memory_items,
        recipe.patch,
    )
    plane = PlaneUpscaler(
        recipe.factor, recipe.plane_groups, recipe.plane_blocks, recipe.plane_features, recipe.plane_reduction
    )
    return nn.ModuleDict({"axial": axial, "through_plane": plane})
