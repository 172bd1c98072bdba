"""Request for a check of one scan. Torch-free; written by a panel, read by a worker.

{"version": 1, "job": "check", "input": "scan.nrrd"}
"""

from __future__ import annotations

from dataclasses import dataclass

from ..networks.registry import DEFAULT_MODEL

LEAST_SLICES = 7
"""Leaves four slices when every other one is removed, as required by methods that use four neighbors."""


@dataclass(frozen=True)
class CheckRequest:
    """Evaluate a model on one scan: every other slice is left out and synthesized.

    Attributes:
        input: volume file or DICOM folder.
        model: bundled name or weights file.
        device: as in `IncreaseRequest`.
        thickness: slice thickness of the input in mm; None uses the value in the file.
        axis: slice axis 0, 1 or 2; None detects it.
        series: DICOM series, if a folder contains several.
    """

    input: str
    model: str = DEFAULT_MODEL
    device: str = "auto"
    thickness: float | None = None
    axis: int | None = None
    series: str | None = None
