"""Models that were added or trained on this computer: a folder next to Slicer's settings, with a registry of checksums.

models/models.json               name, file, SHA-256, recipe and card of each model
models/mine/mine.pt, mine.json   one folder per model; mine.report if it was trained here
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import slicer
from CTSliceSynthesisEngine.networks.recipes import from_dict
from CTSliceSynthesisEngine.networks.registry import BundledModel
from CTSliceSynthesisEngine.whole_file import write_whole

REGISTRY = "models.json"
VERSION = 1


def folder() -> Path:
    """Return the model folder; it may not exist yet."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "CTSliceSynthesis" / "models"


def nearest() -> Path:
    """Return the model folder or its nearest existing parent, to determine free disk space."""
    return next(path for path in (folder(), *folder().parents) if path.is_dir())


def models() -> list[BundledModel]:
    """Return the models of the registry; invalid entries are skipped."""
    try:
        entries = json.loads((folder() / REGISTRY).read_text(encoding="utf-8"))["models"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [model for model in map(_model, entries if isinstance(entries, list) else []) if model is not None]


def _model(entry: Any) -> BundledModel | None:
    try:
        name, file, sha256, card = (entry[key] for key in ("name", "file", "sha256", "card"))
        from_dict(card["recipe"])
        path = (folder() / file).resolve()
    except (AttributeError, KeyError, TypeError, ValueError, OSError):
        return None
    inside = path.is_relative_to(folder().resolve())
    return BundledModel(name, path, sha256, card) if inside and isinstance(name, str) else None


def isIntact(model: BundledModel) -> bool:
    """True if the file still has the checksum recorded when it was added."""
    try:
        status = model.path.stat()
        return checksum(model.path, status.st_mtime_ns, status.st_size) == model.sha256
    except OSError:
        return False


@lru_cache(maxsize=64)
def checksum(path: Path, modified: int, size: int) -> str:
    """Return the SHA-256 of a file; cached by modification time and size."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newPlace(preferredName: str, taken: list[str]) -> tuple[str, Path]:
    """Choose an unused name and create a folder for a model of that name.

    Args:
        preferredName: what to call the model.
        taken: names of other models.

    Raises:
        OSError: the folder cannot be created.
    """
    plain = re.sub(r"[^\w .()+-]", "_", preferredName).strip(" .")[:60] or "model"
    number = 1
    while True:
        name = plain if number == 1 else f"{plain} {number}"
        place = folder() / name
        number += 1
        if name in taken:
            continue
        try:
            folder().mkdir(parents=True, exist_ok=True)
            place.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return name, place


def register(name: str, path: Path, sha256: str, recipe: dict, card: dict) -> None:
    """Add a model to the registry; its file must already be in its folder.

    Args:
        name: name of the model.
        path: weights file.
        sha256: checksum of the file, as reported by the child process that read it.
        recipe: recipe of its networks.
        card: model card.

    Raises:
        ValueError: the file is not the one that was read.
        SynthesisError: the registry cannot be written.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path.name} has changed")
    entry = {
        "name": name,
        "file": path.relative_to(folder()).as_posix(),
        "sha256": sha256,
        "card": {**card, "recipe": recipe},
    }
    others = [
        {"name": model.name, "file": model.path.relative_to(folder().resolve()).as_posix(), "sha256": model.sha256}
        | {"card": model.card}
        for model in models()
        if model.name != name
    ]
    text = json.dumps({"version": VERSION, "models": [*others, entry]}, indent=1, ensure_ascii=False)
    write_whole(text.encode(), folder() / REGISTRY)


def content() -> list[Path]:
    """Return what `empty` would remove."""
    return sorted(folder().iterdir()) if folder().is_dir() else []


def empty() -> None:
    """Remove every model that was added or trained here, and all unfinished trainings."""
    for path in content():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
