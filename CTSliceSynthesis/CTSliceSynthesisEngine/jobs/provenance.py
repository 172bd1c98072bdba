"""Provenance in the header of a result: options and source. A batch that is run again compares them. Torch-free."""

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
"""Options that do not affect the voxels of the result, or that identify the patient."""
_MOST_WEIGHTS = 2 << 30  # bytes


def marks(request: IncreaseRequest) -> dict[str, str]:
    """Return the options, and a hash of the scan's file names, sizes and dates, which reveals neither names nor contents."""
    return {ASKED: asked(request), SOURCE: source(request)}


def asked(request: IncreaseRequest) -> str:
    """Return the options that affect the voxels and differ from the defaults, and the identity of the weights."""
    options = {
        field.name: getattr(request, field.name)
        for field in fields(IncreaseRequest)
        if field.name not in NOT_MAKING and getattr(request, field.name) != field.default
    }
    if request.method == THREE_VIEW:
        options["model"] = _weights(request.model)
    return " ".join(f"{name}={value}" for name, value in sorted(options.items())) or "nothing"


def source(request: IncreaseRequest) -> str:
    """Return a hash that changes with the scan's files."""
    path = Path(request.input)
    try:
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        stamps = []
    return hashlib.blake2b(
        repr((request.series, stamps)).encode("utf-8", "surrogateescape"), digest_size=12
    ).hexdigest()


def differences(existing: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Describe how an existing result differs from the expected one, to follow "it was made"; "" if it does not."""
    if existing.get(SOURCE) != expected[SOURCE]:
        return "from another scan, or the scan changed"
    if existing.get(ASKED) != expected[ASKED]:
        return f"with other options ({existing.get(ASKED)}, not {expected[ASKED]})"
    return ""


def _weights(model: str | None) -> str:
    """Return the model's name and the first digits of its SHA-256; of all bundled models if the device selects one."""
    if model is None:
        checksums = "".join(bundled.sha256 for bundled in bundled_models())
        return f"bundled@{hashlib.sha256(checksums.encode()).hexdigest()[:12]}"
    bundled = find_bundled(model)
    if bundled:
        return f"{bundled.name}@{bundled.sha256[:12]}"
    try:
        return f"{Path(model).name}@{hashlib.sha256(read_regular(model, _MOST_WEIGHTS)).hexdigest()[:12]}"
    except OSError:
        return Path(model).name
