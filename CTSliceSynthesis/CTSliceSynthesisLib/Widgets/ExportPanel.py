"""Panel section that exports a result as a DICOM series."""

from __future__ import annotations

import re
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .. import Messages
from ..Processes import DicomExport, Outcome
from ..Scene import Origin
from .BoundPanel import BoundPanel


class ExportPanel(BoundPanel):
    """Exports a result; asks for the patient if the DICOM files are unknown. Patient data typed in are not stored.

    Args:
        ui: widgets by name, from the .ui file.
        logic: the module's logic.
    """

    def __init__(self, ui, logic) -> None:
        super().__init__()
        self.ui, self._export = ui, logic.exporting
        self._known = ("", False)
        self._say("")
        ui.exportButton.connect("clicked(bool)", self.onButton)
        ui.exportSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClose)

    def onSceneClose(self, caller, event) -> None:
        """Clear the patient fields: the next scene may show another patient."""
        self.ui.patientEdit.text = self.ui.patientNameEdit.text = ""
        self._say("")

    def onFolded(self, folded: bool) -> None:
        """Look up the DICOM files again, which may have changed meanwhile."""
        self._known = ("", False)
        self.refresh()

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets."""
        ui, node = self.ui, self.parameters.afterVolume if self.parameters else None
        isKnown = self._isKnown(node)
        for edit in (ui.patientEdit, ui.patientNameEdit):
            edit.enabled = not isKnown
            edit.placeholderText = _("as in the scan's DICOM files") if isKnown else _("not known: fill in")
        ui.exportDoubtsBox.enabled = any(Origin.companion(node, role) is not None for role in DicomExport.OUTPUTS)
        if self._export.isRunning:
            ui.exportButton.text, ui.exportButton.enabled = _("Cancel"), True
            ui.exportButton.toolTip = _("Stop the export now; nothing is written.")
            return
        problems = DicomExport.problems(node, DicomExport.ExportOptions())
        ui.exportButton.text, ui.exportButton.enabled = _("Export to DICOM…"), not problems
        ui.exportButton.toolTip = (
            problems[0] if problems else _("Choose a folder; the series gets its own folder in it.")
        )

    def _isKnown(self, node) -> bool:
        """True if the scan's DICOM files identify the patient; looked up once per result, while the section is open."""
        if node is None or self.ui.exportSection.collapsed:
            return False
        if self._known[0] != node.GetID():
            self._known = (node.GetID(), bool(DicomExport.dicomFilesOf(node)))
        return self._known[1]

    def onButton(self) -> None:
        """Ask for a folder and start an export, or cancel the current one."""
        if self._export.isRunning:
            self._export.cancel()
            return
        node = self.parameters.afterVolume
        folder = Messages.chooseFolder(_("Export to DICOM"))
        if not folder:
            return
        try:
            self._export.start(node, newFolder(Path(folder), node.GetName()), self._options(node), self.onFinished)
            self._say(_("The series is being written…"))
        except Outcome.TaskError as error:
            self.onFinished(error.outcome)
        self.refresh()

    def _options(self, node) -> DicomExport.ExportOptions:
        ui, isRequested = self.ui, self.ui.exportDoubtsBox.checked
        isKnown = self._isKnown(node)
        return DicomExport.ExportOptions(
            patientID=None if isKnown else ui.patientEdit.text.strip() or None,
            patientName=None if isKnown else ui.patientNameEdit.text.strip() or None,
            expectedError=isRequested and Origin.companion(node, Origin.EXPECTED_ERROR) is not None,
            disagreement=isRequested and Origin.companion(node, Origin.DISAGREEMENT) is not None,
        )

    def onFinished(self, outcome) -> None:
        """Show where the series is, or why there is none."""
        self._say(outcome.sentence)
        self.refresh()
        if outcome.status == Outcome.FAILED:
            Messages.showFailure(outcome.sentence, outcome.log)
        elif outcome.status == Outcome.SUCCEEDED and self.parameters is None:
            Messages.showInStatusBar(outcome.sentence)

    def _say(self, sentence: str) -> None:
        self.ui.exportMessage.text = sentence
        self.ui.exportMessage.visible = bool(sentence)


def newFolder(above: Path, name: str) -> Path:
    """Return the path of a folder that does not exist yet, named after a result."""
    stem = re.sub(r"[^\w\- ]", "_", name).strip() or "series"
    folder, number = above / stem, 2
    while folder.exists():
        folder, number = above / f"{stem} {number}", number + 1
    return folder
