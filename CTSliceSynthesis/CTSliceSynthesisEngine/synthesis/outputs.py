"""The volumes that can be made beside the thin scan, on its grid, in HU. Torch-free.

How each is computed stands in `pipeline`; what it is called in Slicer, in the Lib's Results.
"""

from __future__ import annotations

from dataclasses import dataclass

DISAGREEMENT, EXPECTED_ERROR = "disagreement", "expected_error"


@dataclass(frozen=True)
class Output:
    """One kind of volume.

    Attributes:
        content: what it holds, for headers.
        help: what it tells, for the command line.
        lack: of methods without networks, why they cannot make it.
    """

    content: str
    help: str
    lack: str


OUTPUTS = {
    DISAGREEMENT: Output(
        "view disagreement in HU",
        "also write how far the three views differ, in HU",
        "has no views that could disagree",
    ),
    EXPECTED_ERROR: Output(
        "expected error in HU",
        "also write how many HU each new voxel is likely to be wrong",
        "cannot estimate its errors",
    ),
}
