"""Interface between training loop and recipe: batches, loss terms and learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...networks.recipes import Recipe
from ..scans.scan import TrainingScan


class TrainingRecipe(Protocol):
    """Interface of a training recipe. Recipes are frozen dataclasses, so that they can be written to model cards."""

    @property
    def name(self) -> str:
        """Name on the command line."""
        ...

    def problems(self, networks: Recipe, scans: Sequence[TrainingScan]) -> list[str]:
        """Return the reasons why the recipe cannot train these networks on these scans; empty if there are none."""
        ...

    def draw(self, rng: np.random.Generator, scans: list[TrainingScan]) -> Any:
        """Draw the data of one step; called in a separate thread."""
        ...

    def losses(self, networks: nn.ModuleDict, batch: Any, share: float, device: torch.device) -> dict[str, Tensor]:
        """Return the loss terms in unit range; `share` is the completed fraction of the run."""
        ...

    def groups(self, networks: nn.ModuleDict) -> list[dict[str, Any]]:
        """Return Adam's parameter groups, each with its peak learning rate "lr"; networks in no group are frozen."""
        ...


def as_values(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the recipe as plain values, for cards and states."""
    return asdict(recipe)  # type: ignore[call-overload]
