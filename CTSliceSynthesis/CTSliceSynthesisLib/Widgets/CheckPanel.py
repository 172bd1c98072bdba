"""Panel section that evaluates the selected model on the input scan."""

from __future__ import annotations

from html import escape

import slicer
import vtk
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from slicer.i18n import tr as _

from .. import Messages, Parameters
from ..Processes import Check, Outcome
from ..Views.WorstPlaceMark import WorstPlaceMark
from . import Needs, Scrolling
from .AdvancedPanel import methodNames
from .BoundPanel import BoundPanel

THOUSAND = 1000  # steps of the progress bar


class CheckPanel(BoundPanel):
    """Starts a check and shows its progress and result.

    Args:
        ui: widgets by name, from the .ui file.
        logic: the module's logic.

    Attributes:
        isSaid: returns whether a remark is already shown in the panel.
    """

    def __init__(self, ui, logic) -> None:
        super().__init__()
        self.ui, self._check = ui, logic.checking
        self._nodeID, self._result, self._mark, self._isUnseen = "", None, WorstPlaceMark(), False
        self.isSaid = lambda remark: False
        ui.checkBar.setRange(0, THOUSAND)
        for widget in (ui.checkBar, ui.checkTable, ui.checkMessage, ui.placeButton):
            widget.visible = False
        ui.checkButton.connect("clicked(bool)", self.onButton)
        ui.placeButton.connect("clicked(bool)", self.onPlace)
        ui.checkSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeRemoved)

    def bind(self, parameters) -> None:
        """Bind, and mark a result that arrived while another module was shown."""
        super().bind(parameters)
        if parameters is not None and self._isUnseen and self._result is not None:
            self._isUnseen = False
            self._showVerdict()

    def cleanup(self) -> None:
        self._mark.remove()
        super().cleanup()

    def onSceneClose(self, caller, event) -> None:
        """Clear the result when the scene closes; a check that this ends reports so afterwards."""
        self._show(None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        """Remove the mark together with the scan."""
        if node.GetID() == self._nodeID:
            self._mark.remove()

    def refresh(self, caller=None, event=None) -> None:
        """Update the button."""
        button = self.ui.checkButton
        if self._check.isRunning:
            button.text, button.enabled, button.toolTip = _("Cancel"), True, _("Stop the check now.")
            return
        node = self.parameters.inputVolume if self.parameters else None
        options = Parameters.optionsOf(self.parameters) if self.parameters else Parameters.Options()
        problems = Check.problems(node, options)
        button.text, button.enabled = _("Check on this scan"), not problems
        button.toolTip = (
            problems[0]
            if problems
            else _("Measure the chosen model on the input. It can be canceled; nothing is changed.")
        )

    def onButton(self) -> None:
        """Start a check, or cancel the current one."""
        if self._check.isRunning:
            self._check.cancel()
        elif Needs.areMet(self._say):
            self._start()

    def _start(self) -> None:
        self._show(None)
        node = self.parameters.inputVolume
        self._nodeID = node.GetID()
        try:
            self._check.start(node, Parameters.optionsOf(self.parameters), self.onProgress, self.onFinished)
        except Outcome.TaskError as error:
            self._say(error.outcome.sentence)
            Messages.showFailure(error.outcome.sentence, error.outcome.log)
        self.refresh()

    def onProgress(self, share: float) -> None:
        self.ui.checkBar.visible = True
        self.ui.checkBar.value = round(share * THOUSAND)

    def onFinished(self, outcome) -> None:
        """Show the result, or the reason why there is none."""
        self.ui.checkBar.visible = False
        self.ui.checkBar.value = 0
        self._show(outcome.output)
        if outcome.output is None:
            self._say(outcome.sentence)
        self.refresh()
        if outcome.status == Outcome.FAILED:
            Messages.showFailure(outcome.sentence, outcome.log)
        elif outcome.output is not None and self.parameters is not None:
            self._showVerdict()
        elif outcome.output is not None:
            self._isUnseen = True
            Messages.showInStatusBar(outcome.sentence)

    def _showVerdict(self) -> None:
        """Scroll to the result, and mark the worst location in the views."""
        node = slicer.mrmlScene.GetNodeByID(self._nodeID)
        if node is not None:
            self._markOn(node)
        Scrolling.show(self.ui.checkMessage)

    def onFolded(self, folded: bool) -> None:
        """Show the mark only while the section is open."""
        node = slicer.mrmlScene.GetNodeByID(self._nodeID) if self._nodeID else None
        if folded:
            self._mark.remove()
        elif node is not None and self._result is not None:
            self._markOn(node)

    def _markOn(self, node) -> None:
        label = _("Worst place: {error:.0f} HU").format(error=self._result.placeError)
        self._mark.show(node, self._result.place, label)

    def _show(self, result: Check.CheckResult | None) -> None:
        ui, self._result, self._isUnseen = self.ui, result, False
        self._mark.remove()
        for widget in (ui.checkTable, ui.placeButton):
            widget.visible = result is not None
        self._say("")
        if result is not None:
            ui.checkTable.text = table(result)
            remarks = [remark for remark in result.remarks if not self.isSaid(remark)]
            self._say("\n".join([*sentences(result), *remarks]))

    def onPlace(self) -> None:
        """Jump to the worst location, with the scan's current transforms applied."""
        node = slicer.mrmlScene.GetNodeByID(self._nodeID)
        if node is None:
            self._say(_("The scan that was checked is no longer in the scene."))
            return
        self._markOn(node)
        toWorld = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, toWorld)
        right, anterior, superior = toWorld.TransformPoint(self._result.place)
        centered = slicer.vtkMRMLSliceNode.CenteredJumpSlice
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, right, anterior, superior, centered)

    def _say(self, sentence: str) -> None:
        self.ui.checkMessage.text = sentence
        self.ui.checkMessage.visible = bool(sentence)


def names() -> dict[str, str]:
    """Return method -> its name in the panel."""
    return dict(zip(Parameters.METHODS, methodNames(), strict=True))


def table(result: Check.CheckResult) -> str:
    """Return the metrics as an HTML table, with the best value of each column in bold."""
    columns = ("psnr_db", "mae_hu", "bias_hu")
    best = {}
    for column in columns:
        known = [row[column] for row in result.methods.values() if row.get(column) is not None]
        best[column] = (max(known) if column == "psnr_db" else min(known, key=abs)) if known else None
    heads = "".join(f"<th align='right'>{head}</th>" for head in (_("PSNR dB"), _("MAE HU"), _("Bias HU")))
    rows = []
    for method in (method for method in Parameters.METHODS if method in result.methods):
        name = result.model if method == THREE_VIEW else names()[method]
        cells = "".join(cell(result.methods[method].get(column), column, best[column]) for column in columns)
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return f"<table cellpadding='3'><tr><th></th>{heads}</tr>{''.join(rows)}</table>"


def cell(value: float | None, column: str, best: float | None) -> str:
    if value is None:
        return "<td></td>"
    text = f"{value:+.1f}" if column == "bias_hu" else f"{value:.2f}" if column == "psnr_db" else f"{value:.1f}"
    return f"<td align='right'>{f'<b>{text}</b>' if value == best else text}</td>"


def sentences(result: Check.CheckResult) -> list[str]:
    """Return sentences that interpret the metrics for this scan."""
    rival = names()[result.bestClassical]
    if result.isBetter:
        verdict = _("On this scan the model is better than the others: {gain:+.2f} dB PSNR over “{rival}”.")
    else:
        verdict = _(
            "On this scan the model loses: {gain:+.2f} dB PSNR against “{rival}”. Choose the method “{rival}” for it (under"
            " Model and advanced)."
        )
    measured = _(
        "Measured inside the body, on {count} slices that were left out, in gaps of {gap:.3g} mm: twice the real ones."
    )
    return [
        verdict.format(gain=result.gain, rival=rival),
        measured.format(count=result.counted, gap=result.gap),
        _("At the worst place the error is {error:.0f} HU on average.").format(error=result.placeError),
    ]
