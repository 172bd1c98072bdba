"""Export of a result as a derived DICOM series; a child process writes it, using the headers of the scan's DICOM files."""

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
from .Task import Job, Task, diskSpaceProblems, endedWithoutResult, engine


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        patientID, patientName, studyUID: required if the scan has no DICOM files; otherwise None.
        expectedError, disagreement: also export these volumes, as separate series.
        overwrite: replace an earlier export.
    """

    patientID: str | None = None
    patientName: str | None = None
    studyUID: str | None = None
    expectedError: bool = False
    disagreement: bool = False
    overwrite: bool = False


def problems(node, options: ExportOptions) -> list[str]:
    """Return the reasons why a volume cannot be exported, as messages for the user; empty if there are none."""
    if node is None:
        return [_("Choose a result of this module.")]
    if Origin.stackOf(node) is None:
        message = _("“{name}” is not a result of this module, or it was cropped or resampled since: choose a result.")
        return [message.format(name=node.GetName())]
    roles = [role for role, requested in requestedRoles(options).items() if requested]
    for role in roles:
        if Origin.companion(node, role) is None:
            message = _("The {content} of “{name}” is not in the scene: leave it out, or run again and keep it.")
            return [message.format(content=OUTPUTS[role].replace("_", " "), name=node.GetName())]
    volumes = [node, *(Origin.companion(node, role) for role in roles)]
    return diskSpaceProblems(2 * sum(map(VolumeNodes.byteCount, volumes)), slicer.app.temporaryPath)


def requestedRoles(options: ExportOptions) -> dict[str, bool]:
    """Return the role of each additional volume -> whether it is to be exported."""
    return {Origin.EXPECTED_ERROR: options.expectedError, Origin.DISAGREEMENT: options.disagreement}


def dicomFilesOf(node) -> list[str]:
    """Return the DICOM files of the scan that a result was made from; empty if any of them is missing."""
    scan, database = Origin.companion(node, Origin.SOURCE), getattr(slicer, "dicomDatabase", None)
    uids = ((scan.GetAttribute(VolumeNodes.UIDS) if scan is not None else None) or "").split()
    files = [database.fileForInstance(uid) for uid in uids] if database is not None else []
    return files if all(file and Path(file).is_file() for file in files) else []


def removePartialOutput(above: Path) -> None:
    """Remove partial output of a killed child, which may take a moment to exit."""
    for _attempt in range(20):
        remove_forgotten(above)
        if not any(PART.fullmatch(path.name) for path in above.glob(".*")):
            return
        time.sleep(0.1)


class DicomExport(Task):
    """Starts, monitors and finishes exports. See Task."""

    endsWithScene = False  # the child has copies of all its inputs

    def start(
        self,
        node,
        folder: str | Path,
        options: ExportOptions,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start an export. Unless this raises, `onFinished` is called exactly once, however the export ends.

        Args:
            node: a result.
            folder: new folder; it is created atomically.
            options: see ExportOptions.
            onFinished: called with the outcome, whose output is the folder.

        Raises:
            TaskError: the export cannot start; nothing has changed.
        """
        reasons = [_("Another export is in progress: wait for it, or cancel it.")] if self.isRunning else []
        reasons = reasons or problems(node, options)
        if reasons:
            raise TaskError(Outcome(FAILED, reasons[0]))
        self._name, self._above = node.GetName(), Path(folder).absolute().parent
        self._begin(lambda private: self._startJob(node, Path(folder), options, private, onFinished))

    def _startJob(self, node, target: Path, options: ExportOptions, private: Path, onFinished) -> Job:
        VolumeNodes.save(node, private / "thin.nrrd")
        extraOutputs = {
            role: private / f"{OUTPUTS[role]}.nrrd" for role, requested in requestedRoles(options).items() if requested
        }
        for role, path in extraOutputs.items():
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
            outputs={OUTPUTS[role]: str(path) for role, path in extraOutputs.items()},
        )
        (private / "request.json").write_text(to_json(request, "export"), encoding="utf-8")
        return Job(private, engine(["run", "request.json"], private), lambda event: None, onFinished)

    def _finish(self, conclude: Callable[[Job], Outcome]) -> None:
        """Finish, and remove partial output that a killed child left next to the output folder."""

        def cleanUpAndConclude(run: Job) -> Outcome:
            if run.result is None:
                removePartialOutput(self._above)
            return conclude(run)

        super()._finish(cleanUpAndConclude)

    def _cancelMessages(self) -> tuple[str, str]:
        return _("The export was canceled; nothing was written."), ""

    def _outcomeOf(self, run: Job, exitCode: int) -> Outcome:
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
