"""The job "inspect": validate a weights file before it is used. Nothing in the file is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..networks import recipes
from .events import Emit


@dataclass(frozen=True)
class InspectRequest:
    """Inspect a weights file.

    Attributes:
        model: path of the file.
    """

    model: str


def inspect_model(request: InspectRequest, emit: Emit) -> dict[str, Any]:
    """Load a model strictly, and describe it.

    Returns:
        "sha256" of the file, "recipe" and "card" as plain values, and "failure": the reason if it failed
        the validation after its training; else None.

    Raises:
        SynthesisError: "bad-model".
    """
    from ..networks.checkpoint import load  # with PyTorch

    model = load(request.model)
    fields = {
        "job": "inspect",
        "sha256": model.sha256,
        "recipe": recipes.to_dict(model.recipe),
        "card": model.card,
        "failure": model.failure,
    }
    emit("result", **fields)
    return fields
