"""The job "transfer": interpolate label maps of a scan to the grid of its result. Does not import PyTorch.

{"version": 1, "job": "transfer", "labels": {"0.nrrd": "0 thin.nrrd"}, "factor": 4.0, "axis": 2}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..synthesis.label_maps import upsample_labels
from ..volume.files import write_together
from ..volume.label_files import label_grid, read_labels
from ..volume.volume import Volume
from .events import Emit
from .label_output import label_header


@dataclass(frozen=True)
class TransferRequest:
    """Interpolate label maps.

    Attributes:
        labels: label map file -> file to be written.
        factor: of the result's plan; integer or fractional.
        axis: slice axis 0, 1 or 2.
    """

    labels: dict[str, str]
    factor: float
    axis: int


def transfer_labels(request: TransferRequest, emit: Emit) -> dict[str, Any]:
    """Run a request; all files are written or none.

    Returns:
        "job", and "labels" as in the request.

    Raises:
        SynthesisError: "bad-input", "bad-geometry" or "cannot-write".
    """
    results: list[tuple[Volume, str, dict[str, str]]] = []
    for number, (path, output) in enumerate(request.labels.items()):
        labels = read_labels(path, label_grid(path, request.axis))

        def report(done: int, total: int, before: int = number) -> None:
            emit("progress", stage="labels", done=before * total + done, total=len(request.labels) * total)

        fine = upsample_labels(labels, request.factor, report)
        results.append((fine, output, label_header(request.factor)))
    write_together(results)
    fields = {"job": "transfer", "labels": request.labels}
    emit("result", **fields)
    return fields
