"""What the training loop needs of a recipe: what to draw, what to make small, and how fast to learn."""

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
    """What the loop needs of a recipe. Every recipe is a frozen dataclass, so that it can be written into a card."""

    @property
    def name(self) -> str:
        """What users type."""
        ...

    def problems(self, networks: Recipe, scans: Sequence[TrainingScan]) -> list[str]:
        """Why these networks cannot learn so from these scans, in sentences; empty when all is well."""
        ...

    def draw(self, rng: np.random.Generator, scans: list[TrainingScan]) -> Any:
        """What one step learns from; runs in a thread of its own."""
        ...

    def losses(self, networks: nn.ModuleDict, batch: Any, share: float, device: torch.device) -> dict[str, Tensor]:
        """The terms to be made small, unit range; `share` of the run is over."""
        ...

    def groups(self, networks: nn.ModuleDict) -> list[dict[str, Any]]:
        """Adam's parameter groups, each with its peak learning rate "lr"; a network that is in none is frozen."""
        ...


def as_values(recipe: TrainingRecipe) -> dict[str, Any]:
    """The recipe as plain values, for cards and states."""
    return asdict(recipe)  # type: ignore[call-overload]
