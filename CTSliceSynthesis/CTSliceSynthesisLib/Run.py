"""One run: what is known of it while it goes on, and what is concluded when its process has ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.request import IncreaseRequest
from CTSliceSynthesisEngine.synthesis.plan import THREE_VIEW, Plan
from CTSliceSynthesisEngine.version import VERSION
from slicer.i18n import tr as _

from . import VolumeNodes
from .Parameters import Options
from .Progress import Progress, Tracker
from .Worker import Worker, howItEnded

SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"
ESTIMATES = "synthesized slices are estimates; for research use"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: SUCCEEDED, FAILED or CANCELED.
        sentence: what happened, for the user.
        log: last lines of the child process, for a failure.
        output, disagreement: the new volumes; None without success, or where not asked for.
        remarks: sentences that the user should see.
        seconds: how long it took.
    """

    status: str
    sentence: str
    log: str = ""
    output: object | None = None
    disagreement: object | None = None
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0


class IncreaseError(RuntimeError):
    """A run that gave no result; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("\n\n".join(filter(None, (outcome.sentence, outcome.log))))
        self.outcome = outcome


@dataclass
class Run:
    """What is known of the run that goes on.

    Attributes:
        plan: what it does.
        options: what was asked for.
        name: of the result, before it is made unique.
        target: volume to replace; None makes a new one.
        scalarType: VTK's number of the voxel type of input and result.
        appearance: what the result takes over from the input.
        folder: private folder.
        worker: the child process.
        tracker: how far it is.
        result: fields of the event "result".
        failure: message of the event "failed".
        remarks: sentences for the user.
    """

    plan: Plan
    options: Options
    name: str
    target: object | None
    scalarType: int
    appearance: VolumeNodes.Appearance
    folder: Path
    worker: Worker
    tracker: Tracker
    onProgress: Callable[[Progress], None]
    onFinished: Callable[[Outcome], None]
    started: float = field(default_factory=time.monotonic)
    result: dict | None = None
    failure: str = ""
    remarks: list[str] = field(default_factory=list)


def requestFor(decided: Plan, options: Options, folder: Path) -> IncreaseRequest:
    """The request to the engine; all files lie in the private folder."""
    return IncreaseRequest(
        input=str(folder / "thick.nrrd"),
        output=str(folder / "thin.nrrd"),
        factor=decided.factor,
        method=options.method,
        model=options.model,
        device=options.device,
        disagreement=str(folder / "disagreement.nrrd") if options.disagreement else None,
        thickness=decided.grid.thickness,
        axis=decided.grid.slice_axis,
    )


def resultName(name: str, decided: Plan) -> str:
    """As in "chest x4", or "chest x4 cubic"."""
    method = "" if decided.method == THREE_VIEW else f" {decided.method}"
    return f"{name} x{decided.factor}{method}"


def note(run: Run, event: dict) -> None:
    """Remember what an event tells."""
    kind = event["event"]
    if kind == "progress":
        run.tracker.tell(str(event.get("stage")), event.get("done"), event.get("total"))
    elif kind == "remark":
        run.remarks.append(str(event.get("sentence")))
    elif kind == "failed":
        run.failure = str(event.get("message"))
    elif kind == "result":
        run.result = event


def concluded(run: Run, exitCode: int) -> Outcome:
    """What became of a run whose process has ended. Success is an exit code of 0, a result event, and the files."""
    if run.failure:
        return Outcome(FAILED, run.failure)
    if exitCode != 0 or run.result is None:
        hint = (
            _(" Often the memory has run out: close other programs, or take a smaller factor.") if exitCode < 0 else ""
        )
        ended = _("The child process ended with {how}, without a result.{hint}")
        return Outcome(FAILED, ended.format(how=howItEnded(exitCode), hint=hint))
    try:
        return taken(run)
    except (SynthesisError, RuntimeError, OSError, MemoryError) as error:
        return Outcome(FAILED, _("The result could not be read: {error}").format(error=error or type(error).__name__))


def taken(run: Run) -> Outcome:
    """The finished volumes, read completely before the scene is touched."""
    grid, facts = run.plan.output_grid, factsOf(run)
    thin = VolumeNodes.readResult(run.folder / "thin.nrrd", grid, run.scalarType)
    spread = None
    if run.options.disagreement:
        spread = VolumeNodes.readResult(run.folder / "disagreement.nrrd", grid, vtk.VTK_SHORT)
    output = VolumeNodes.put(thin, grid, run.target, run.name, run.appearance, facts)
    disagreement = None
    if spread is not None:
        plain = replace(run.appearance, display=None)
        facts = {**facts, "content": "view disagreement in HU"}
        disagreement = VolumeNodes.put(spread, grid, None, f"{output.GetName()} disagreement", plain, facts)
    sentence = _("“{name}” is ready: a slice every {spacing:.3g} mm.").format(
        name=output.GetName(), spacing=grid.slice_spacing
    )
    return Outcome(SUCCEEDED, sentence, output=output, disagreement=disagreement)


def factsOf(run: Run) -> dict[str, str]:
    """Where the voxels come from, for the node's attributes: whoever opens it later must know that they are estimates."""
    facts = {"method": run.plan.method, "factor": str(run.plan.factor), "version": VERSION, "note": ESTIMATES}
    if run.result and run.result.get("model"):
        facts |= {"model": str(run.result["model"]), "model_sha256": str(run.result.get("model_sha256"))}
    return facts


def removeFolder(folder: Path) -> None:
    """Remove the private folder; Windows lets go of a killed process's files only after a moment."""
    for _attempt in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
