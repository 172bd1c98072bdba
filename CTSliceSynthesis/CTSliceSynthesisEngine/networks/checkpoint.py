"""Checkpoint files: written atomically, read strictly, verified by SHA-256, never executed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SynthesisError
from ..regular_file import read_regular
from ..whole_file import write_whole
from . import recipes
from .builder import build
from .expected_error import TERMS, ExpectedError
from .registry import find_bundled

FORMAT = 1
"""Version of the file layout; other versions are rejected."""

LARGEST = 2 << 30
"""Maximum size of a weights file, bytes."""

_ZIP = b"PK\x03\x04"  # required prefix; PyTorch also reads older formats, whose reader was vulnerable (CVE-2025-32434)


@dataclass
class Model:
    """Trained networks for the three views, with their metadata.

    Attributes:
        recipe: architecture and sizes.
        networks: "axial" and "through_plane" (shared by the coronal and sagittal views).
        fusion: weights of the axial, coronal and sagittal view in the mean; they sum to one.
        card: the model card: data, licenses, metrics, limitations.
        expected_error: calibration of the expected error of synthesized voxels; None if there is none.
        name: bundled name or file name.
        sha256: of the file; empty until it is saved.
    """

    recipe: recipes.Recipe
    networks: nn.ModuleDict
    fusion: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    card: dict[str, Any] = field(default_factory=dict)
    expected_error: ExpectedError | None = None
    name: str = ""
    sha256: str = ""

    @classmethod
    def untrained(cls, recipe: recipes.Recipe) -> Model:
        """Return untrained networks, which output plain interpolation."""
        return cls(recipe, build(recipe), name=recipe.name)

    @property
    def failure(self) -> str | None:
        """Why the model should not be used, if its evaluation after training failed; None otherwise."""
        verdict = self.card.get("verdict")
        if not isinstance(verdict, dict) or verdict.get("passed") is not False:
            return None
        return str(verdict.get("sentence", ""))


def save(model: Model, path: str | Path) -> str:
    """Write a model atomically.

    Returns:
        SHA-256 of the file, in hex.

    Raises:
        SynthesisError: "cannot-write".
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "format": FORMAT,
            "recipe": recipes.to_dict(model.recipe),
            "fusion": list(model.fusion),
            "card": json.dumps(model.card),
            "expected_error": list(model.expected_error.coefficients) if model.expected_error else None,
            "weights": model.networks.state_dict(),
        },
        buffer,
    )
    write_whole(buffer.getvalue(), path)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def load(name_or_path: str | Path) -> Model:
    """Load a bundled model by name, or a file.

    A bundled file must have the SHA-256 of its registry entry. Nothing in a file is executed (`weights_only=True`). Every
    archive member must match its checksum, every weight must be finite, and a recipe must not require more weights than the
    file contains.

    Raises:
        SynthesisError: "bad-model" if missing, damaged, of another format or recipe, or failing a checksum.
    """
    entry = find_bundled(str(name_or_path))
    path = entry.path if entry else Path(name_or_path)
    try:
        content = read_regular(path, LARGEST)
    except OSError as error:
        raise SynthesisError(
            "bad-model",
            f"The model {name_or_path} cannot be read ({error.strerror}): give the name of a bundled model"
            " or the path of a weights file.",
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if entry and digest != entry.sha256:
        raise SynthesisError(
            "bad-model",
            f"The bundled model {entry.name} is damaged: its SHA-256 is {digest[:16]}... and should be"
            f" {entry.sha256[:16]}...; install the package again.",
        )
    return _model(content, entry.name if entry else path.name, digest)


def _model(content: bytes, name: str, digest: str) -> Model:
    try:
        _check_archive(content)
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many exception types for damaged or foreign files
        raise SynthesisError(
            "bad-model", f"The model {name} is damaged, or not a weights file of CTSliceSynthesis: get it again."
        ) from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        found = stored.get("format") if isinstance(stored, dict) else None
        raise SynthesisError(
            "bad-model",
            f"The model {name} has format {str(found)[:20]}, but this version reads format {FORMAT}: get a matching file.",
        )
    try:
        recipe = recipes.from_dict(stored["recipe"])
        networks = _networks(recipe, stored["weights"], len(content))
        fusion = tuple(float(weight) for weight in stored["fusion"])
        card = dict(json.loads(stored["card"]))
        calibration = stored.get("expected_error")
        expected_error = ExpectedError((*map(float, calibration), 0.0, 0.0)[:TERMS]) if calibration else None
        if len(fusion) != 3 or not abs(sum(fusion) - 1) <= 1e-3 or not all(0 <= weight <= 1 for weight in fusion):
            raise ValueError(f"fusion weights {fusion}")
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SynthesisError(
            "bad-model", f"The model {name} does not match its recipe ({reason}): get it again, or train it again."
        ) from error
    return Model(recipe, networks, (fusion[0], fusion[1], fusion[2]), card, expected_error, name, digest)


def _check_archive(content: bytes) -> None:
    """Check the archive, because PyTorch verifies no checksums and would decompress anything.

    Raises:
        ValueError, zipfile.BadZipFile: it is not a checkpoint, damaged, or compressed.
    """
    if not content.startswith(_ZIP):
        raise ValueError("not an archive")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("the archive is compressed")
        if sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("the archive claims more data than it contains")
        if archive.testzip() is not None:
            raise ValueError("a checksum is wrong")


def _networks(recipe: recipes.Recipe, weights: Mapping[str, Any], size: int) -> nn.ModuleDict:
    """Build the recipe's networks on the meta device and assign these weights, without copying.

    Raises:
        ValueError, RuntimeError: the weights do not match or are not finite.
    """
    with torch.device("meta"):
        networks = build(recipe)
    needed = sum(tensor.numel() * tensor.element_size() for tensor in networks.state_dict().values())
    if needed > size:
        raise ValueError(f"the recipe needs {needed} bytes of weights, the file has {size}")
    mistyped = [
        name for name, tensor in weights.items() if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32
    ]
    if mistyped:
        raise ValueError(f"{mistyped[0]} is not a float32 tensor")
    # Rounding to half precision depends on the memory layout.
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    networks.load_state_dict(contiguous, strict=True, assign=True)
    non_finite = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
    if non_finite:
        raise ValueError(f"{non_finite[0]} has weights that are not finite")
    return networks.eval()
