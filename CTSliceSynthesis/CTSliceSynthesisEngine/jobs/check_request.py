"""The request for a check of one scan. Torch-free; a panel writes it, a worker reads it.

{"version": 1, "job": "check", "input": "scan.nrrd"}
"""

from __future__ import annotations

from dataclasses import dataclass

from ..networks.registry import DEFAULT_MODEL

LEAST_SLICES = 7
"""So that four are left when every second one is gone: a method that looks at four neighbours then has them."""


@dataclass(frozen=True)
class CheckRequest:
    """Measure a model on one scan: every second slice is left out and restored.

    Attributes:
        input: volume file or DICOM folder.
        model: bundled name or weights file.
        device: as in `IncreaseRequest`.
        thickness: slice thickness of the input in mm; None takes what the file says.
        axis: slice axis 0, 1 or 2; None finds it.
        series: DICOM series, where a folder holds several.
    """

    input: str
    model: str = DEFAULT_MODEL
    device: str = "auto"
    thickness: float | None = None
    axis: int | None = None
    series: str | None = None
