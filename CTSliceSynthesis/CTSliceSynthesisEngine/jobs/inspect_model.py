"""The job "inspect": what a weights file is, before anybody relies on it. Nothing in the file is executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SynthesisError
from ..networks import recipes
from .events import Emit

_ZIP = b"PK\x03\x04"


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

    _check_kind(Path(request.model))
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


def _check_kind(path: Path) -> None:
    """Weights are written as zip archives. PyTorch would read older kinds too, whose reader had holes (CVE-2025-32434)."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP))
    except OSError as error:
        message = f"The model {path.name} cannot be read ({error.strerror})"
        raise SynthesisError("bad-model", f"{message}: give the path of a weights file.") from error
    if start != _ZIP:
        message = f"The model {path.name} is damaged, or not a weights file of CTSliceSynthesis"
        raise SynthesisError("bad-model", f"{message}: get it again.")
