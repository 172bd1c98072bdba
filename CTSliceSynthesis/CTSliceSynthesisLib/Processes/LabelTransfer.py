"""Transfer of segmentations and label maps from a scan to its result; a child process interpolates them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase_request import to_json
from CTSliceSynthesisEngine.jobs.transfer_labels import TransferRequest
from slicer.i18n import tr as _
from vtk.util import numpy_support

from ..Scene import DrawnOnScan, Origin, VolumeNodes
from .Outcome import FAILED, SUCCEEDED, Outcome, TaskError
from .Task import Job, Task, diskSpaceProblems, endedWithoutResult, engine


def problems(result) -> list[str]:
    """Return the reasons why nothing can be transferred to a volume, as messages for the user; empty if there are none."""
    reasons = DrawnOnScan.problems(result)
    if reasons:
        return reasons
    drawn = len(DrawnOnScan.drawnOn(Origin.companion(result, Origin.SOURCE)))
    return diskSpaceProblems(2 * drawn * VolumeNodes.byteCount(result), slicer.app.temporaryPath)


class LabelTransfer(Task):
    """Starts, monitors and finishes transfers. See Task."""

    def start(
        self,
        result,
        onProgress: Callable[[float], None] = lambda share: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start a transfer. Unless this raises, `onFinished` is called exactly once, however the transfer ends.

        Args:
            result: volume made by a run; its scan is in the scene.
            onProgress: called with the fraction completed, 0 to 1.
            onFinished: called with the outcome, whose output is a list of the new nodes.

        Raises:
            TaskError: the transfer cannot start; nothing has changed.
        """
        reasons = [_("Another transfer is in progress: wait for it, or cancel it.")] if self.isRunning else []
        reasons = reasons or problems(result)
        if reasons:
            raise TaskError(Outcome(FAILED, reasons[0]))
        self._begin(lambda folder: self._startJob(result, folder, onProgress, onFinished))
        onProgress(0.0)

    def _startJob(self, result, folder: Path, onProgress, onFinished) -> Job:
        scan, stack = Origin.companion(result, Origin.SOURCE), Origin.stackOf(result)
        self._result, self._name = result, result.GetName()
        self._grid = VolumeNodes.gridOf(scan, stack.axis).upsampled(stack.factor)
        self._drawings = DrawnOnScan.drawings(scan)
        files: dict[str, str] = {}
        self._names = {}
        for drawing in self._drawings:
            for layer in drawing.layers:
                path = folder / f"{len(files)}.nrrd"
                VolumeNodes.writeVoxels(layer, scan, path)
                self._names[str(path)] = drawing.name
                files[str(path)] = str(folder / f"{len(files)} thin.nrrd")
        self._files = list(files.values())
        request = TransferRequest(labels=files, factor=stack.factor, axis=stack.axis)
        (folder / "request.json").write_text(to_json(request, "transfer"), encoding="utf-8")
        worker = engine(["run", "request.json"], folder)
        return Job(folder, worker, lambda event: onProgress(share(event)), onFinished)

    def _cancelMessages(self) -> tuple[str, str]:
        return _("The transfer was canceled."), _("The scene was closed, which ended the transfer.")

    def _finish(self, conclude: Callable[[Job], Outcome]) -> None:
        super()._finish(conclude)
        if not self.isRunning:  # it may have been started again by the callback
            self._result, self._drawings = None, []

    def _outcomeOf(self, run: Job, exitCode: int) -> Outcome:
        if run.failure:
            return Outcome(FAILED, self._named(run.failure))
        if exitCode != 0 or run.result is None:
            return endedWithoutResult(run.worker)
        if not slicer.mrmlScene.IsNodePresent(self._result):
            return Outcome(FAILED, _("“{name}” was removed, so nothing was transferred to it.").format(name=self._name))
        try:
            copies = self._addCopies()
        except (OSError, RuntimeError, SynthesisError) as error:
            return Outcome(FAILED, _("The segmentations could not be transferred: {error}").format(error=error))
        names = ", ".join(f"“{node.GetName()}”" for node in copies)
        return Outcome(SUCCEEDED, _("Transferred to the result: {names}.").format(names=names), output=copies)

    def _named(self, failure: str) -> str:
        """Replace the private files in a message by the names of what they contain."""
        for path, name in self._names.items():
            failure = failure.replace(path, f"“{name}”")
        return failure

    def _addCopies(self) -> list:
        """Read all files of the child first, so that either all copies are added or none."""
        layers = [layer for drawing in self._drawings for layer in drawing.layers]
        images = iter(
            [
                VolumeNodes.readResult(Path(file), self._grid, numpy_support.get_vtk_array_type(layer.dtype))
                for file, layer in zip(self._files, layers, strict=True)
            ]
        )
        return [
            DrawnOnScan.addCopy(drawing, [next(images) for _layer in drawing.layers], self._result)
            for drawing in self._drawings
        ]


def share(event: dict) -> float:
    """Return the fraction of the transfer completed according to a "progress" event."""
    try:
        return min(max(event["done"] / event["total"], 0.0), 1.0)
    except (KeyError, TypeError, ZeroDivisionError):
        return 0.0
