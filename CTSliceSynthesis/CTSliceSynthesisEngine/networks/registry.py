"""The models that come with the package. Torch-free: a panel lists them before PyTorch is installed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).resolve().parent.parent / "bundled"

DEFAULT_MODEL = "compact"
"""On a processor."""

GRAPHICS_MODEL = "quality"
"""On a graphics card, which has time for it; where it is not bundled, the default one."""


@dataclass(frozen=True)
class BundledModel:
    """One entry of bundled/registry.json.

    Attributes:
        name: what users type.
        path: of the weights file.
        sha256: the file must have it.
        card: the model card as plain values.
    """

    name: str
    path: Path
    sha256: str
    card: dict[str, Any]


def bundled_models() -> list[BundledModel]:
    """Every bundled model, the default one first."""
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
    """The bundled model that a kind of device ("cpu", "cuda", "mps") computes with if no other is asked for."""
    return GRAPHICS_MODEL if device != "cpu" and find_bundled(GRAPHICS_MODEL) else DEFAULT_MODEL


def find_bundled(name: str) -> BundledModel | None:
    """The bundled model of that name, None where there is none."""
    return next((model for model in bundled_models() if model.name == name), None)
