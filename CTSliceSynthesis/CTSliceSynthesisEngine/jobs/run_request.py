"""Executes a request file of any job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .check import check
from .check_request import CheckRequest
from .events import Emit
from .export_dicom import export
from .export_request import ExportRequest
from .increase import increase
from .increase_request import IncreaseRequest, read_request
from .inspect_model import InspectRequest, inspect_model
from .transfer_labels import TransferRequest, transfer_labels

JOBS: Mapping[str, tuple[type, Callable[[Any, Emit], dict[str, Any]]]] = {
    "increase": (IncreaseRequest, increase),
    "export": (ExportRequest, export),
    "check": (CheckRequest, check),
    "inspect": (InspectRequest, inspect_model),
    "transfer": (TransferRequest, transfer_labels),
}
"""Job -> class of its request, and function that runs it."""


def run(path: str, emit: Emit) -> dict[str, Any]:
    """Run a request file.

    Args:
        path: path of the file.
        emit: receives the events.

    Returns:
        The fields of the result event.

    Raises:
        SynthesisError: see errors.REASONS.
    """
    request = read_request(path, {job: kind for job, (kind, _) in JOBS.items()})
    job = next(function for kind, function in JOBS.values() if type(request) is kind)
    return job(request, emit)
