"""Available models: bundled with the module, or added or trained on this computer."""

from __future__ import annotations

from pathlib import Path

from CTSliceSynthesisEngine.networks.recipes import Recipe, from_dict
from CTSliceSynthesisEngine.networks.registry import BundledModel, bundled_models
from slicer.i18n import tr as _

from . import ModelFolder


def names() -> list[str]:
    """Return the names of all models, the default one first."""
    return [model.name for model in (*bundled_models(), *ModelFolder.models())]


def find(name: str) -> BundledModel | None:
    return next((model for model in (*bundled_models(), *ModelFolder.models()) if model.name == name), None)


def isBundled(name: str) -> bool:
    """True for a bundled model."""
    return any(model.name == name for model in bundled_models())


def recipeOf(name: str) -> Recipe | None:
    """Return the recipe of a model's networks, for the plan; None for a weights file."""
    model = find(name)
    return None if model is None else from_dict(model.card["recipe"])


def knowsItsError(name: str) -> bool:
    """True if a model can estimate the expected error."""
    model = find(name)
    return model is not None and bool(model.card.get("expected_error"))


def weightsOf(name: str) -> str:
    """Return the engine's identifier of a model: the name of a bundled one, else a file path."""
    model = find(name)
    return name if model is None or isBundled(name) else str(model.path)


def problems(name: str) -> list[str]:
    """Return the reasons why a model cannot be used; empty if there are none. Weights files are validated by the run itself."""
    model = find(name)
    if model is None and not Path(name).is_file():
        return [_("There is no model “{name}”: choose one of {names}.").format(name=name, names=", ".join(names()))]
    if model is not None and not isBundled(name) and not ModelFolder.isIntact(model):
        return [
            _(
                "The file of the model “{name}” is not the one that was added (its SHA-256 differs): add it again, or choose"
                " another model."
            ).format(name=name)
        ]
    return []
