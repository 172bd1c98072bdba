"""Main panel section: input, resolution, run button and outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer
import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.fineness import choose_factor
from CTSliceSynthesisEngine.synthesis.options import FACTORS, SynthesisOptions
from slicer.i18n import tr as _

from .. import Messages, Parameters, Sequences, Session
from ..Processes import Run
from ..Processes.Outcome import FAILED, SUCCEEDED, TaskError
from ..Scene import DrawnOnScan, SequenceNodes, VolumeNodes
from ..Setup import Requirements
from . import Needs, Wording
from .BoundPanel import BoundPanel

THOUSAND = 1000  # steps of the progress bar


class IncreasePanel(BoundPanel):
    """Starts runs and shows their parameters, progress and outcome.

    Args:
        ui: widgets by name, from the .ui file.
        logic: executes the runs and transfers segmentations.
        onResult: called with the scan (None if it was removed) and the new volume.
    """

    def __init__(self, ui, logic, onResult: Callable) -> None:
        super().__init__()
        self.ui, self.session, self.transfer, self._tell = ui, logic.session, logic.transfer, onResult
        self._sequenceRun, self._sequence, self._observed = Sequences.SequenceRun(self.session), None, None
        self._planned, self._output, self._unseen = "", None, None
        ui.progressBar.setRange(0, THOUSAND)
        for widget in (
            ui.progressBar, ui.stageLabel, ui.messageLabel, ui.notesLabel, ui.evenlySpacedButton, ui.everyFrameBox,
            ui.transferButton,
        ):  # fmt: skip
            widget.visible = False
        for name in Parameters.RESOLUTIONS:
            ui.resolutionBox.addItem("", name)
        ui.resolutionBox.connect("currentIndexChanged(int)", self.onResolution)
        ui.runButton.connect("clicked(bool)", self.onButton)
        ui.evenlySpacedButton.connect("clicked(bool)", self.onEvenlySpaced)
        ui.transferButton.connect("clicked(bool)", self.onTransfer)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeRemoved)

    def bind(self, parameters) -> None:
        """Bind, and show a result that arrived while another module was shown."""
        super().bind(parameters)
        unseen, self._unseen = (self._unseen, None) if parameters else (None, self._unseen)
        if unseen and inScene(unseen[1]):
            self._show(*unseen)

    def onSceneClose(self, caller, event) -> None:
        """Clear the result when the scene closes; a run that this ends reports so afterwards."""
        self._output = self._unseen = None
        self._say("")

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        """Clear the message of a result that is removed."""
        if node is self._output:
            self._output = None
            self._say("")

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets."""
        self._observeInput()
        node = self.parameters.inputVolume if self.parameters else None
        options = Parameters.optionsOf(self.parameters) if self.parameters else Parameters.Options()
        grid, problem = gridOrProblem(node, options)
        self._showScan(node, grid)
        self._showResolutions(grid)
        self._showSequence(node)
        if problem:
            problems = [problem]
        elif self._sequence is not None:
            problems = Sequences.problems(self._sequence, options)
        else:
            problems = Session.problems(node, options, self.parameters.outputVolume)
        self._showTransfer()
        self._showPlan(node, options, problems)
        self._showButton(problems)

    def _observeInput(self) -> None:
        """Observe the input volume: voxels, transform and name."""
        node = self.parameters.inputVolume if self.parameters else None
        if node is self._observed:
            return
        events = (
            vtk.vtkCommand.ModifiedEvent,
            slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
            slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
        )
        for event in events:
            if self._observed is not None:
                self.removeObserver(self._observed, event, self.refresh)
            if node is not None:
                self.addObserver(node, event, self.refresh)
        self._observed = node

    def _showSequence(self, node) -> None:
        """Offer to process all frames if the input is a frame of a sequence."""
        sequence = SequenceNodes.behind(node)
        self.ui.everyFrameBox.visible = sequence is not None
        if sequence is not None:
            self.ui.everyFrameBox.text = _("Every frame of “{name}” ({count})").format(
                name=sequence.GetName(), count=sequence.GetNumberOfDataNodes()
            )
        self._sequence = sequence if sequence is not None and self.parameters.everyFrame else None
        self.ui.outputSelector.enabled = self._sequence is None

    def _showScan(self, node, grid) -> None:
        ui = self.ui
        ui.factsLabel.text = Wording.facts(grid) if grid is not None else _("No scan is chosen.")
        notes = Wording.notes(node, grid) if grid is not None else []
        ui.notesLabel.text = "\n".join(notes)
        ui.notesLabel.visible = bool(notes)
        uneven = node is not None and VolumeNodes.hasNonlinearTransform(node)
        ui.evenlySpacedButton.visible = uneven
        ui.factsLabel.visible = not uneven
        for widget in (ui.thicknessLabel, ui.thicknessBox):
            widget.visible = grid is not None
        known = VolumeNodes.dicomThickness(node) if grid is not None else None
        ui.thicknessBox.specialValueText = Wording.thicknessPlaceholder(known)

    def _showResolutions(self, grid) -> None:
        box = self.ui.resolutionBox
        for index, factor in enumerate(FACTORS):
            box.setItemText(index, Wording.resolution(factor, grid))
        isotropic = choose_factor(grid, SynthesisOptions(isotropic=True))[0] if grid is not None else None
        box.setItemText(len(FACTORS), Wording.isotropic(isotropic, grid))
        box.setItemText(len(FACTORS) + 1, _("Exact spacing"))
        exact = self.parameters is not None and self.parameters.resolution == Parameters.EXACT
        for widget in (self.ui.exactSpacingLabel, self.ui.exactSpacingBox):
            widget.visible = exact
        if self.parameters:
            box.setCurrentIndex(Parameters.RESOLUTIONS.index(self.parameters.resolution))

    def says(self, remark: str) -> bool:
        """True if a remark is shown above the button, or was shown there when the run began."""
        return remark in self._planned or remark in self.ui.planLabel.text

    def _showPlan(self, node, options, problems: list[str]) -> None:
        if problems:
            self.ui.planLabel.text = problems[0]
            return
        plan = Session.plan(node, options)
        remarks = [Messages.ofRemark(remark) for remark in plan.remarks]
        summary = Wording.planSummary(plan, options.device)
        if self._sequence is not None:
            summary = _("Each frame: {plan}").format(plan=summary)
        self.ui.planLabel.text = "\n".join([summary, *remarks])

    def _showTransfer(self) -> None:
        button, isRunning = self.ui.transferButton, self.transfer.isRunning
        button.visible = isRunning or (self._output is not None and not DrawnOnScan.problems(self._output))
        button.text = _("Cancel the transfer") if isRunning else _("Transfer segmentations to the result")

    def _showButton(self, problems: list[str]) -> None:
        button = self.ui.runButton
        if self.session.isRunning:
            button.text, button.enabled = _("Cancel"), True
            button.toolTip = _("Stop the run. Nothing is changed.")
            return
        button.text = _("Increase slice resolution")
        button.enabled = not problems
        button.toolTip = problems[0] if problems else _("Synthesize the thin slices. The run can be canceled.")

    def onResolution(self, index: int) -> None:
        if self.parameters and index >= 0:
            self.parameters.resolution = Parameters.RESOLUTIONS[index]

    def onEvenlySpaced(self) -> None:
        """Harden the transform of a copy, and select the copy as input."""
        with slicer.util.tryWithErrorDisplay(_("The evenly spaced copy could not be made."), waitCursor=True):
            self.parameters.inputVolume = VolumeNodes.evenlySpacedCopy(self.parameters.inputVolume)

    def onTransfer(self) -> None:
        """Transfer the scan's segmentations and label maps to the result, or cancel this."""
        if self.transfer.isRunning:
            self.transfer.cancel()
            return
        try:
            self.transfer.start(self._output, self.onTransferProgress, self.onTransferred)
        except TaskError as error:
            self.onTransferred(error.outcome)
        self._showTransfer()

    def onTransferProgress(self, share: float) -> None:
        self._say(_("Segmentations are being transferred: {share:.0f} %").format(share=100 * share))

    def onTransferred(self, outcome) -> None:
        """Show the outcome of a transfer."""
        self._say(outcome.sentence)
        self._showTransfer()
        if outcome.status == FAILED:
            Messages.showFailure(outcome.sentence, outcome.log)

    def onButton(self) -> None:
        """Start a run, or cancel the current one."""
        if self.session.isRunning:
            self.session.cancel()
        else:
            self._start()

    def _start(self) -> None:
        options = Parameters.optionsOf(self.parameters)
        if Requirements.missing(options.method) and not Needs.areMet(self._say):
            return
        self._say("")
        self._output, self._planned = None, self.ui.planLabel.text
        source = self.parameters.inputVolume
        callbacks = {"onProgress": self.onProgress, "onFinished": lambda outcome: self.onFinished(outcome, source)}
        try:
            if self._sequence is not None:
                self._sequenceRun.start(self._sequence, options, **callbacks)
            else:
                self.session.start(source, options, self.parameters.outputVolume, **callbacks)
        except Run.IncreaseError as error:
            self._say(error.outcome.sentence)
            Messages.showFailure(error.outcome.sentence, error.outcome.log)
        self.refresh()

    def onProgress(self, progress) -> None:
        ui = self.ui
        ui.progressBar.visible = ui.stageLabel.visible = True
        ui.progressBar.value = round(progress.share * THOUSAND)
        left = progress.remainingSeconds
        ui.stageLabel.text = progress.stage + (
            "" if left is None else _(", about {time} left").format(time=Wording.duration(left))
        )

    def onFinished(self, outcome, source) -> None:
        """Show the outcome of a run."""
        self.ui.progressBar.visible = self.ui.stageLabel.visible = False
        self.ui.progressBar.value = 0
        remarks = [remark for remark in outcome.remarks if not self.says(remark)]
        self._say(outcome.sentence, remarks if outcome.status == SUCCEEDED else ())
        self._output = outcome.output
        self.refresh()
        if outcome.status == FAILED:
            Messages.showFailure(outcome.sentence, outcome.log)
        elif outcome.status == SUCCEEDED:
            volumes = source, SequenceNodes.proxyOf(outcome.output) or outcome.output
            if self.parameters is None:  # another module is shown: leave its views alone
                self._unseen = volumes
                Messages.showInStatusBar(outcome.sentence)
            else:
                self._show(*volumes)

    def _show(self, source, output) -> None:
        self._tell(source if inScene(source) else None, output)

    def _say(self, sentence: str, remarks: Sequence[str] = ()) -> None:
        lines = [line for line in (sentence, *remarks) if line]
        self.ui.messageLabel.text = "\n".join(lines)
        self.ui.messageLabel.visible = bool(lines)


def inScene(node) -> bool:
    return bool(slicer.mrmlScene.IsNodePresent(node))


def gridOrProblem(node, options):
    """Return (grid, "") of a volume, or (None, reason why it has none)."""
    for problem in VolumeNodes.problems(node):
        return None, problem
    try:
        return VolumeNodes.gridOf(node, options.sliceAxis, options.thickness), ""
    except SynthesisError as error:
        return None, Messages.ofError(error)
