"""Optional output volumes in addition to the thin scan, on its grid, in HU. Does not import PyTorch.

`pipeline` computes them; their names in Slicer are in the module library's Results.
"""

from __future__ import annotations

from dataclasses import dataclass

DISAGREEMENT, EXPECTED_ERROR = "disagreement", "expected_error"


@dataclass(frozen=True)
class Output:
    """One kind of output volume.

    Attributes:
        content: description for file headers.
        help: description for the command line.
        limitation: why methods without networks cannot provide it.
    """

    content: str
    help: str
    limitation: str


OUTPUTS = {
    DISAGREEMENT: Output(
        "view disagreement in HU",
        "also write the disagreement of the three views, in HU",
        "has no views to compare",
    ),
    EXPECTED_ERROR: Output(
        "expected error in HU",
        "also write the expected absolute error of each synthesized voxel, in HU",
        "cannot estimate its errors",
    ),
}
