"""State of one run, and its request to the engine."""

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
"""Role of an additional volume -> its name in the engine and of its file in the private folder (plus ".nrrd")."""


class IncreaseError(TaskError):
    """A run ended without a result; `outcome` gives the reason."""


@dataclass(kw_only=True)
class Run(Job):
    """State of the current run.

    Attributes:
        source: the scan.
        plan: the plan of the run.
        options: the requested options.
        name: name of the result, before it is made unique.
        target: volume to replace; None creates a new one.
        scalarType: VTK scalar type of input and result.
        appearance: display properties that the result inherits from the input.
        tracker: progress of the run.
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
        """Record an event; progress goes to the tracker, which interpolates between events."""
        if event["event"] == "progress":
            self.tracker.update(str(event.get("stage")), event.get("done"), event.get("total"))
        else:
            super().note(event)


def requestedRoles(options: Options) -> Iterator[str]:
    """Yield the roles of the requested additional volumes."""
    if options.expectedError:
        yield Origin.EXPECTED_ERROR
    if options.disagreement:
        yield Origin.DISAGREEMENT


def requestFor(plan: Plan, options: Options, folder: Path) -> IncreaseRequest:
    """Return the request to the engine; all files are in the private folder."""
    files = {OUTPUTS[role]: str(folder / f"{OUTPUTS[role]}.nrrd") for role in requestedRoles(options)}
    return IncreaseRequest(
        input=str(folder / "thick.nrrd"),
        output=str(folder / "thin.nrrd"),
        **resolutionFields(plan),
        method=options.method,
        model=Models.weightsOf(options.model),
        device=options.device,
        outputs=files,
        acquired=plan.acquired,
        texture=options.texture,
        thickness=plan.grid.thickness,
        axis=plan.grid.slice_axis,
    )


def resolutionFields(plan: Plan) -> dict:
    """Return the resolution fields of a request."""
    if isinstance(plan.factor, int):
        return {"factor": plan.factor}
    return {"spacing": plan.output_grid.slice_spacing, "exact": True}


def resultName(name: str, plan: Plan) -> str:
    """Return a name such as "chest x4", "chest x4 cubic", "chest 1 mm", "chest x4 all thin" or "chest x4 even texture"."""
    method = "" if plan.method == THREE_VIEW else f" {plan.method}"
    whole = isinstance(plan.factor, int)
    fine = f"x{plan.factor}" if whole else f"{plan.output_grid.slice_spacing:.4g} mm"
    thin = " all thin" if plan.acquired == THIN else ""
    return f"{name} {fine}{method}{thin}{' even texture' if plan.texture == EVEN else ''}"
