"""Keeps an adapted model only if it is better on slices left out of the scan it was adapted to."""

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
    """The model before its adaptation.

    Attributes:
        weights: weights of its networks.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model) -> Start:
        """Copy the weights of a model."""
        return cls(copy.deepcopy(model.networks.state_dict()))


@dataclass(frozen=True)
class Choice:
    """Which of the two models is kept.

    Attributes:
        kept: True for the adapted one.
        gains: gain of the adapted model over the start in dB, by factor; empty if no slices could be left out.
    """

    kept: bool
    gains: dict[int, float]

    @property
    def sentence(self) -> str:
        """Text for users."""
        if not self.gains:
            return (
                "Not kept: the scan has too few slices to leave some out and measure; the model it started from stays."
            )
        gains = " and ".join(f"{gain:+.2f} dB at x{factor}" for factor, gain in self.gains.items())
        if self.kept:
            return f"Kept: slices left out of this scan came back better, {gains} over the model it started from."
        return f"Not kept: slices left out of this scan came back no better, {gains}; the model it started from stays."

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the model card."""
        return {"kept": self.kept, "gains_db": {str(factor): round(gain, 3) for factor, gain in self.gains.items()}}


def choose(model: Model, start: Start, scans: list[TrainingScan], device: torch.device) -> Choice:
    """Evaluate both on slices left out of the scan, and give the model the weights of the better one.

    The adapted weights are better if they gain at the first factor and lose at no other.

    Args:
        model: adapted model.
        start: the model before the adaptation.
        scans: the one scan it was adapted to.
        device: compute device.
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
