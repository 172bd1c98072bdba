"""Label map of a scan: read before the synthesis, transferred to the new grid after it."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import SynthesisError
from ..synthesis.label_maps import upsample_labels
from ..synthesis.plan import Plan
from ..version import VERSION
from ..volume.files import ORIGIN
from ..volume.label_files import read_labels
from ..volume.volume import Volume
from .events import Emit
from .increase_request import DICOM, IncreaseRequest

CONTENT = "label map of a scan, transferred to its new grid"


def labels_of(request: IncreaseRequest, plan: Plan) -> Volume | None:
    """Read the label map of the scan; return None if none is given.

    Raises:
        SynthesisError: "bad-option", or see `read_labels`.
    """
    if (request.labels is None) != (request.output_labels is None):
        given = request.labels or request.output_labels
        message = f"A label map needs a file to be read from and one to be written to, but only {given} is given"
        raise SynthesisError("bad-option", f"{message}; give both, or none.")
    if request.labels is None:
        return None
    if request.format == DICOM:
        message = "Label maps can only be written as volume files, but a DICOM series is requested"
        raise SynthesisError("bad-option", f"{message}; leave out one of them.")
    return read_labels(request.labels, plan.grid)


def transferred_labels(
    request: IncreaseRequest, labels: Volume, plan: Plan, emit: Emit
) -> tuple[Volume, str, Mapping[str, str]]:
    """Return the label map on the new grid, its file and its header; `emit` receives progress events."""
    assert request.output_labels is not None
    fine = upsample_labels(
        labels, plan.factor, lambda done, total: emit("progress", stage="labels", done=done, total=total)
    )
    return fine, request.output_labels, label_header(plan.factor)


def label_header(factor: float) -> dict[str, str]:
    """Return the header of a label map on the new grid, with its provenance."""
    return {f"{ORIGIN}content": CONTENT, f"{ORIGIN}factor": f"{factor:.10g}", f"{ORIGIN}version": VERSION}
