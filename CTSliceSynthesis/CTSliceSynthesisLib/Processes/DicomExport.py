"""A result becomes a derived DICOM series: a child process writes it, with what the scan's own DICOM files say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import slicer
from CTSliceSynthesisEngine.jobs.export_request import ExportRequest
from CTSliceSynthesisEngine.jobs.increase_request import to_json
from CTSliceSynthesisEngine.whole_file import PART, remove_forgotten
from slicer.i18n import tr as _

from ..Scene import Origin, VolumeNodes
from .Outcome import FAILED, SUCCEEDED, Outcome, TaskError
from .Run import OUTPUTS
from .Task import Job, Task, endedWithoutResult, engine, roomProblems


@dataclass(frozen=True)
class ExportOptions:
    """What goes into the series beside the result.

    Attributes:
        patientID, patientName, studyUID: where the scan has no DICOM files to take them from; None for those they have.
        expectedError, disagreement: volumes of the result, as series beside it.
        overwrite: replace an earlier export.
    """

    patientID: str | None = None
    patientName: str | None = None
    studyUID: str | None = None
    expectedError: bool = False
    disagreement: bool = False
    overwrite: bool = False


def problems(node, options: ExportOptions) -> list[str]:
    """Why a volume cannot be exported, in the user's words; empty when it can."""
    if node is None:
        return [_("Choose a result of this module.")]
    if Origin.stackOf(node) is None:
        message = _("“{name}” is not a result of this module, or it was cropped or resampled since: choose a result.")
        return [message.format(name=node.GetName())]
    for role, wanted in wishes(options).items():
        if wanted and Origin.companion(node, role) is None:
            message = _(
                "The {content} of “{name}” is not in the scene: leave it out, or make the result again with it."
            )
            return [message.format(content=OUTPUTS[role].replace("_", " "), name=node.GetName())]
    return roomProblems(2 * VolumeNodes.byteCount(node), slicer.app.temporaryPath)


def wishes(options: ExportOptions) -> dict[str, bool]:
    """Role of a volume that belongs to the result -> whether it is to come along."""
    return {Origin.EXPECTED_ERROR: options.expectedError, Origin.DISAGREEMENT: options.disagreement}


def dicomFilesOf(node) -> list[str]:
    """The DICOM files of the scan that a result was made from; none where one of them is not there any more."""
    scan, database = Origin.companion(node, Origin.SOURCE), getattr(slicer, "dicomDatabase", None)
    uids = ((scan.GetAttribute(VolumeNodes.UIDS) if scan is not None else None) or "").split()
    files = [database.fileForInstance(uid) for uid in uids] if database is not None else []
    return files if all(file and Path(file).is_file() for file in files) else []


def removeParts(above: Path) -> None:
    """Remove what a child that was ended had begun; it may take a moment to die."""
    for _attempt in range(20):
        remove_forgotten(above)
        if not any(PART.fullmatch(path.name) for path in above.glob(".*")):
            return
        time.sleep(0.1)


class DicomExport(Task):
    """Starts exports, follows them, ends them. See Task."""

    endsWithScene = False  # the child has a copy of all it needs

    def start(
        self,
        node,
        folder: str | Path,
        options: ExportOptions,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start an export; `onFinished` is called once, whatever becomes of it, unless this raises.

        Args:
            node: a result.
            folder: to be made; it appears whole or not at all.
            options: see there.
            onFinished: called with the outcome; its output is the folder.

        Raises:
            TaskError: it cannot start; nothing has changed.
        """
        found = [_("Another export is going on: wait for it, or cancel it.")] if self.isRunning else []
        found = found or problems(node, options)
        if found:
            raise TaskError(Outcome(FAILED, found[0]))
        self._name, self._above = node.GetName(), Path(folder).absolute().parent
        self._begin(lambda private: self._launched(node, Path(folder), options, private, onFinished))

    def _launched(self, node, target: Path, options: ExportOptions, private: Path, onFinished) -> Job:
        VolumeNodes.save(node, private / "thin.nrrd")
        beside = {role: private / f"{OUTPUTS[role]}.nrrd" for role, wanted in wishes(options).items() if wanted}
        for role, path in beside.items():
            VolumeNodes.save(Origin.companion(node, role), path)
        files = dicomFilesOf(node)
        (private / "source.txt").write_text("\n".join(files), encoding="utf-8", errors="surrogateescape")
        request = ExportRequest(
            input=str(private / "thin.nrrd"),
            output=str(target.absolute()),
            source=str(private / "source.txt") if files else None,
            patient_id=options.patientID,
            patient_name=options.patientName,
            study_uid=options.studyUID,
            overwrite=options.overwrite,
            outputs={OUTPUTS[role]: str(path) for role, path in beside.items()},
        )
        (private / "request.json").write_text(to_json(request, "export"), encoding="utf-8")
        return Job(private, engine(["run", "request.json"], private), lambda event: None, onFinished)

    def _finish(self, conclude: Callable[[Job], Outcome]) -> None:
        """What a child that was ended had begun lies beside the folder to be, and goes."""

        def concluded(run: Job) -> Outcome:
            if run.result is None:
                removeParts(self._above)
            return conclude(run)

        super()._finish(concluded)

    def _endings(self) -> tuple[str, str]:
        return _("The export was canceled; nothing was written."), ""

    def _concluded(self, run: Job, exitCode: int) -> Outcome:
        if run.failure:
            return Outcome(FAILED, run.failure.replace(str(run.folder / "thin.nrrd"), f"“{self._name}”"))
        if exitCode != 0 or run.result is None:
            return endedWithoutResult(run.worker)
        sentence = _("“{name}” was exported to {folder}: {slices} slices, {acquired} of them acquired.").format(
            name=self._name,
            folder=run.result["output"],
            slices=run.result["slices"],
            acquired=run.result["acquired"],
        )
        return Outcome(SUCCEEDED, sentence, output=Path(run.result["output"]))
