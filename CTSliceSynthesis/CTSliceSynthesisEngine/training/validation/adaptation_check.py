"""What a model learned on one scan is kept only where slices left out of that very scan say that it is better."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...networks.checkpoint import Model
from ..scans.scan import TrainingScan
from .held_out_scans import contests, gain

_LEAST_GAIN = 0.01  # dB at the first factor: less is noise
_MOST_LOSS = 0.0  # dB at any other


@dataclass(frozen=True)
class Start:
    """The model as it was before it adapted.

    Attributes:
        weights: of its networks.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model) -> Start:
        """A copy that training does not change."""
        return cls(copy.deepcopy(model.networks.state_dict()))


@dataclass(frozen=True)
class Choice:
    """Which of the two stays.

    Attributes:
        kept: True for what was learned.
        gains: dB of it over the start, by factor; empty where nothing could be left out.
    """

    kept: bool
    gains: dict[int, float]

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.gains:
            return (
                "Not kept: the scan has too few slices to leave some out and measure; the model it started from stays."
            )
        found = " and ".join(f"{gain:+.2f} dB at x{factor}" for factor, gain in self.gains.items())
        if self.kept:
            return f"Kept: slices left out of this scan came back better, {found} over the model it started from."
        return f"Not kept: slices left out of this scan came back no better, {found}; the model it started from stays."

    def as_json(self) -> dict[str, Any]:
        """For the model card."""
        return {"kept": self.kept, "gains_db": {str(factor): round(gain, 3) for factor, gain in self.gains.items()}}


def choose(model: Model, start: Start, scans: list[TrainingScan], device: torch.device) -> Choice:
    """Measure both on slices left out of the scan; the model has the weights of the better one afterwards.

    What was learned is better if it gains at the first factor and loses at no other.

    Args:
        model: adapted.
        start: what it was before.
        scans: the one scan it was adapted to.
        device: where to compute.
    """
    learned = copy.deepcopy(model.networks.state_dict())
    held_out = [row for scan in scans for row in contests(scan)]
    after = [gain(model, thick, truth, factor, device) for factor, thick, truth in held_out]
    model.networks.load_state_dict(start.weights)
    before = [gain(model, thick, truth, factor, device) for factor, thick, truth in held_out]
    gains = {row[0]: new - old for row, new, old in zip(held_out, after, before, strict=True)}
    first, *others = gains.values() or [0.0]
    kept = first >= _LEAST_GAIN and all(other >= _MOST_LOSS for other in others)
    if kept:
        model.networks.load_state_dict(learned)
    return Choice(kept, gains)
