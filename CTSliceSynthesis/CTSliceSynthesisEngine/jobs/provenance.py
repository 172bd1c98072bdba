"""How a result was made and from what, as the free fields of its header; a batch that runs again compares them. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ..networks.registry import bundled_models, find_bundled
from ..regular_file import read_regular
from ..synthesis.options import THREE_VIEW
from .increase_request import IncreaseRequest

ASKED, SOURCE = "asked", "source"
NOT_MAKING = frozenset(
    {
        "input",
        "output",
        "labels",
        "output_labels",
        "series",
        "outputs",
        "device",
        "overwrite",
        "only_ct",
        "accept_isotropic",
        "accept_failed_model",
        "format",
        "patient_id",
        "patient_name",
        "study_uid",
        "uid_seed",
    }
)
"""Options that do not change the voxels of the result, or that say who the patient is."""
_MOST_WEIGHTS = 2 << 30  # bytes


def marks(request: IncreaseRequest) -> dict[str, str]:
    """What was asked for, and a hash of the scan's names, sizes and dates: neither names nor contents can be read from it."""
    return {ASKED: asked(request), SOURCE: source(request)}


def asked(request: IncreaseRequest) -> str:
    """The options that make the result what it is, those that differ from the defaults, and which weights."""
    given = {
        field.name: getattr(request, field.name)
        for field in fields(IncreaseRequest)
        if field.name not in NOT_MAKING and getattr(request, field.name) != field.default
    }
    if request.method == THREE_VIEW:
        given["model"] = _weights(request.model)
    return " ".join(f"{name}={value}" for name, value in sorted(given.items())) or "nothing"


def source(request: IncreaseRequest) -> str:
    """A hash that another scan, or the same one changed, does not have."""
    path = Path(request.input)
    try:
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        stamps = []
    return hashlib.blake2b(
        repr((request.series, stamps)).encode("utf-8", "surrogateescape"), digest_size=12
    ).hexdigest()


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Why a result that is there is not the one that is wanted, to go on from "it was made"; "" if it is."""
    if found.get(SOURCE) != wanted[SOURCE]:
        return "from another scan, or the scan changed"
    if found.get(ASKED) != wanted[ASKED]:
        return f"with other options ({found.get(ASKED)}, not {wanted[ASKED]})"
    return ""


def _weights(model: str | None) -> str:
    """The model's name and the beginning of its SHA-256; of the bundled ones together, where the device decides."""
    if model is None:
        together = "".join(bundled.sha256 for bundled in bundled_models())
        return f"bundled@{hashlib.sha256(together.encode()).hexdigest()[:12]}"
    bundled = find_bundled(model)
    if bundled:
        return f"{bundled.name}@{bundled.sha256[:12]}"
    try:
        return f"{Path(model).name}@{hashlib.sha256(read_regular(model, _MOST_WEIGHTS)).hexdigest()[:12]}"
    except OSError:
        return Path(model).name
