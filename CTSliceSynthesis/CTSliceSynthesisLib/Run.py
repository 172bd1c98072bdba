"""One run: what is known of it while it goes on, and what is concluded when its process has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.request import IncreaseRequest
from CTSliceSynthesisEngine.synthesis.plan import EVEN, THREE_VIEW, Plan
from slicer.i18n import tr as _

from . import Models, Origin, Results, VolumeNodes
from .Outcome import FAILED, Outcome, TaskError
from .Parameters import Options
from .Progress import Progress, Tracker
from .Task import Job, endedWithoutResult


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


def requestFor(decided: Plan, options: Options, folder: Path) -> IncreaseRequest:
    """The request to the engine; all files lie in the private folder."""
    files = {role: str(folder / Results.FILES[role]) for role in Results.wanted(options)}
    return IncreaseRequest(
        input=str(folder / "thick.nrrd"),
        output=str(folder / "thin.nrrd"),
        factor=decided.factor,
        method=options.method,
        model=Models.weightsOf(options.model),
        device=options.device,
        disagreement=files.get(Origin.DISAGREEMENT),
        expected_error=files.get(Origin.EXPECTED_ERROR),
        texture=options.texture,
        thickness=decided.grid.thickness,
        axis=decided.grid.slice_axis,
    )


def resultName(name: str, decided: Plan, texture: str) -> str:
    """As in "chest x4", "chest x4 cubic" or "chest x4 even texture"."""
    method = "" if decided.method == THREE_VIEW else f" {decided.method}"
    return f"{name} x{decided.factor}{method}{' even texture' if texture == EVEN else ''}"


def concluded(run: Run, exitCode: int) -> Outcome:
    """What became of a run whose process has ended. Success is an exit code of 0, a result event, and the files."""
    if run.failure:
        return Outcome(FAILED, run.failure)
    if exitCode != 0 or run.result is None:
        return endedWithoutResult(run.worker)
    try:
        return Results.taken(run)
    except (SynthesisError, RuntimeError, OSError, MemoryError) as error:
        return Outcome(FAILED, _("The result could not be read: {error}").format(error=error or type(error).__name__))
