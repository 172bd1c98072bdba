"""The job "inspect": what a weights file is, before anybody relies on it. Nothing in the file is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..networks import recipes
from .events import Emit


@dataclass(frozen=True)
class InspectRequest:
    """Look into a weights file.

    Attributes:
        model: the file.
    """

    model: str


def inspect_model(request: InspectRequest, emit: Emit) -> dict[str, Any]:
    """Load a model strictly, and tell what it is.

    Returns:
        "sha256" of the file, "recipe" and "card" as plain values, and "failure": why it should not be used, where it was
        measured after its training and failed; else None.

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
