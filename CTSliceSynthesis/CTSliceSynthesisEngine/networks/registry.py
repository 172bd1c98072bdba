"""The bundled models. Does not import PyTorch, so that a panel can list them before it is installed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).resolve().parent.parent / "bundled"

DEFAULT_MODEL = "compact"
"""Default on a CPU."""

GRAPHICS_MODEL = "quality"
"""Default on a GPU, which is fast enough for it; DEFAULT_MODEL if it is not bundled."""


@dataclass(frozen=True)
class BundledModel:
    """One entry of bundled/registry.json.

    Attributes:
        name: what users type.
        path: of the weights file.
        sha256: expected checksum of the file.
        card: the model card as plain values.
    """

    name: str
    path: Path
    sha256: str
    card: dict[str, Any]


def bundled_models() -> list[BundledModel]:
    """Return all bundled models, the default first."""
    entries = json.loads((BUNDLED / "registry.json").read_text(encoding="utf-8"))["models"]
    return [
        BundledModel(
            entry["name"],
            BUNDLED / entry["file"],
            entry["sha256"],
            json.loads((BUNDLED / entry["card"]).read_text(encoding="utf-8")),
        )
        for entry in entries
    ]


def default_model(device: str) -> str:
    """Return the name of the default model for a kind of device ("cpu", "cuda", "mps")."""
    return GRAPHICS_MODEL if device != "cpu" and find_bundled(GRAPHICS_MODEL) else DEFAULT_MODEL


def find_bundled(name: str) -> BundledModel | None:
    """Return the bundled model of that name, or None."""
    return next((model for model in bundled_models() if model.name == name), None)
