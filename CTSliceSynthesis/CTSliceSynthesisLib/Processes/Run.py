"""One run: what was asked for, and what is known of it while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.synthesis import outputs
from CTSliceSynthesisEngine.synthesis.options import EVEN, THIN, THREE_VIEW
from CTSliceSynthesisEngine.synthesis.plan import Plan

from ..Parameters import Options
from ..Scene import Origin, VolumeNodes
from ..Setup import Models
from .Outcome import TaskError
from .Progress import Progress, Tracker
from .Task import Job

OUTPUTS = {Origin.EXPECTED_ERROR: outputs.EXPECTED_ERROR, Origin.DISAGREEMENT: outputs.DISAGREEMENT}
"""Role of a volume that comes with a result -> what the engine calls it, and its file in the private folder, with ".nrrd"."""


class IncreaseError(TaskError):
    """A run that gave no result; `outcome` says why."""


@dataclass(kw_only=True)
class Run(Job):
    """What is known of the run that goes on.

    Attributes:
        source: the scan.
        plan: what it does.
        options: what was asked for.
        name: of the result, before it is made unique.
        target: volume to replace; None makes a new one.
        scalarType: VTK's number of the voxel type of input and result.
        appearance: what the result takes over from the input.
        tracker: how far it is.
        onProgress: called with a Progress.
    """

    source: object
    plan: Plan
    options: Options
    name: str
    target: object | None
    scalarType: int
    appearance: VolumeNodes.Appearance
    tracker: Tracker
    onProgress: Callable[[Progress], None]

    def note(self, event: dict) -> None:
        """Remember what an event tells; how far the child is, the tracker foretells."""
        if event["event"] == "progress":
            self.tracker.tell(str(event.get("stage")), event.get("done"), event.get("total"))
        else:
            super().note(event)


def wanted(options: Options) -> Iterator[str]:
    """Roles of the volumes that are to come with the result."""
    if options.expectedError:
        yield Origin.EXPECTED_ERROR
    if options.disagreement:
        yield Origin.DISAGREEMENT


def requestFor(decided: Plan, options: Options, folder: Path) -> IncreaseRequest:
    """The request to the engine; all files lie in the private folder."""
    files = {OUTPUTS[role]: str(folder / f"{OUTPUTS[role]}.nrrd") for role in wanted(options)}
    return IncreaseRequest(
        input=str(folder / "thick.nrrd"),
        output=str(folder / "thin.nrrd"),
        **fineness(decided),
        method=options.method,
        model=Models.weightsOf(options.model),
        device=options.device,
        outputs=files,
        acquired=decided.acquired,
        texture=options.texture,
        thickness=decided.grid.thickness,
        axis=decided.grid.slice_axis,
    )


def fineness(decided: Plan) -> dict:
    """How fine, in words of a request."""
    if isinstance(decided.factor, int):
        return {"factor": decided.factor}
    return {"spacing": decided.output_grid.slice_spacing, "exact": True}


def resultName(name: str, decided: Plan) -> str:
    """As in "chest x4", "chest x4 cubic", "chest 1 mm", "chest x4 all thin" or "chest x4 even texture"."""
    method = "" if decided.method == THREE_VIEW else f" {decided.method}"
    whole = isinstance(decided.factor, int)
    fine = f"x{decided.factor}" if whole else f"{decided.output_grid.slice_spacing:.4g} mm"
    thin = " all thin" if decided.acquired == THIN else ""
    return f"{name} {fine}{method}{thin}{' even texture' if decided.texture == EVEN else ''}"
