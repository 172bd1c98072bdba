"""Check of a model on a scan: a child process leaves out slices, synthesizes them, and compares them with the acquired ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.check_request import LEAST_SLICES, CheckRequest
from CTSliceSynthesisEngine.jobs.increase_request import to_json
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from slicer.i18n import tr as _

from .. import Messages
from ..Parameters import Options
from ..Scene import VolumeNodes
from ..Setup import Models, Requirements
from .Outcome import FAILED, SUCCEEDED, Outcome, TaskError
from .Task import Job, Task, diskSpaceProblems, endedWithoutResult, engine

STAGES = ("synthesize", "score")
SHARES = (0.7, 1.0)
"""Position of the progress bar at the end of each stage."""


@dataclass(frozen=True)
class CheckResult:
    """Accuracy of the synthesized left-out slices, inside the body.

    Attributes:
        model: name of the checked model.
        methods: "three-view" and the classical methods -> psnr_db, mae_hu, bias_hu (mean error: how much too bright), and
            bias_<tissue>_hu for the tissues in the scan; None where a metric is undefined.
        gain: PSNR of the model minus that of the best classical method, dB.
        bestClassical: the classical method with the highest PSNR.
        counted: number of slices that were left out and synthesized.
        gap: spacing of the remaining slices, mm: twice that of the acquired ones.
        place: RAS in mm of the location with the largest error, before the scan's parent transforms.
        placeError: mean absolute error around that location, HU.
        remarks: sentences that the user should see.
    """

    model: str
    methods: dict[str, dict[str, float | None]]
    gain: float
    bestClassical: str
    counted: int
    gap: float
    place: tuple[float, float, float]
    placeError: float
    remarks: tuple[str, ...] = ()

    @property
    def isBetter(self) -> bool:
        """True if the model beats every classical method on this scan."""
        return self.gain > 0


def problems(node, options: Options) -> list[str]:
    """Return the reasons why a scan cannot be checked, for the user. Missing PyTorch is not one: it can be installed."""
    reasons = VolumeNodes.problems(node) or Models.problems(options.model)
    if reasons:
        return reasons
    try:
        grid = VolumeNodes.gridOf(node, options.sliceAxis, options.thickness)
    except SynthesisError as error:
        return [Messages.ofError(error)]
    if grid.slice_count < LEAST_SLICES:
        return [
            _("A check leaves out every other slice and needs at least {least} slices; “{name}” has {count}.").format(
                least=LEAST_SLICES, name=node.GetName(), count=grid.slice_count
            )
        ]
    return diskSpaceProblems(VolumeNodes.byteCount(node), slicer.app.temporaryPath)


class Check(Task):
    """Starts, monitors and finishes checks. See Task."""

    def start(
        self,
        node,
        options: Options,
        onProgress: Callable[[float], None] = lambda share: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start a check. Unless this raises, `onFinished` is called exactly once, however the check ends.

        Args:
            node: the scan.
            options: only model, device, slice axis and thickness are used.
            onProgress: called with the fraction completed, 0 to 1.
            onFinished: called with the outcome, whose output is a CheckResult.

        Raises:
            TaskError: the check cannot start; nothing has changed.
        """
        reasons = [_("Another check is in progress: wait for it, or cancel it.")] if self.isRunning else []
        reasons = reasons or problems(node, options)
        if not reasons and Requirements.missing(THREE_VIEW):
            reasons = [Requirements.howToGet()]
        if reasons:
            raise TaskError(Outcome(FAILED, reasons[0]))
        self._model = options.model
        self._begin(lambda folder: self._startJob(node, options, folder, onProgress, onFinished))
        onProgress(0.0)

    def _startJob(self, node, options: Options, folder: Path, onProgress, onFinished) -> Job:
        grid = VolumeNodes.gridOf(node, options.sliceAxis, options.thickness)
        VolumeNodes.writeForChild(node, folder / "scan.nrrd")
        request = CheckRequest(
            input=str(folder / "scan.nrrd"),
            model=Models.weightsOf(options.model),
            device=options.device,
            thickness=grid.thickness,
            axis=grid.slice_axis,
        )
        (folder / "request.json").write_text(to_json(request, "check"), encoding="utf-8")
        worker = engine(["run", "request.json"], folder)
        return Job(folder, worker, lambda event: onProgress(share(event)), onFinished)

    def _cancelMessages(self) -> tuple[str, str]:
        return _("The check was canceled."), _("The scene was closed, which ended the check.")

    def _outcomeOf(self, run: Job, exitCode: int) -> Outcome:
        if run.failure:
            return Outcome(FAILED, run.failure)
        if exitCode != 0 or run.result is None:
            return endedWithoutResult(run.worker)
        try:
            result = resultOf(run.result, self._model, tuple(run.remarks))
        except (KeyError, TypeError, ValueError) as error:
            return Outcome(FAILED, _("The figures of the check could not be read: {error}").format(error=repr(error)))
        return Outcome(SUCCEEDED, _("The check is done."), output=result)


def share(event: dict) -> float:
    """Return the fraction of the check completed according to a "progress" event."""
    try:
        stage = STAGES.index(event.get("stage"))
        part = min(max(event["done"] / event["total"], 0.0), 1.0)
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return 0.0
    start = SHARES[stage - 1] if stage else 0.0
    return start + part * (SHARES[stage] - start)


def resultOf(fields: dict, model: str, remarks: tuple[str, ...]) -> CheckResult:
    """Parse the fields of the child's "result" event."""
    right, anterior, superior = (float(mm) for mm in fields["worst"]["ras"])
    return CheckResult(
        model,
        {str(method): dict(figures) for method, figures in fields["methods"].items()},
        float(fields["gain_db"]),
        str(fields["best_classical"]),
        int(fields["counted"]),
        float(fields["gap_mm"]),
        (right, anterior, superior),
        float(fields["worst"]["error_hu"]),
        remarks,
    )
