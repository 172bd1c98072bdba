"""Panel section for training: on a folder, on the volumes of the scene, or on the current scan only."""

from __future__ import annotations

import slicer
from CTSliceSynthesisEngine.networks.registry import DEFAULT_MODEL
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from slicer.i18n import tr as _

from .. import Messages, Parameters
from ..Processes import Outcome, Training, TrainingScans
from ..Views.TrainingPlots import TrainingPlots
from . import Needs, Wording
from .AdvancedPanel import fill
from .BoundPanel import BoundPanel

FOLDER, SCENE = SOURCES = ("folder", "scene")


class TrainPanel(BoundPanel):
    """Starts trainings and shows their options, progress and outcome.

    Args:
        ui: widgets by name, from the .ui file.
        logic: the module's logic.

    Attributes:
        increase: called to start a run with the current choices.
    """

    def __init__(self, ui, logic) -> None:
        super().__init__()
        self.ui, self._training, self._session = ui, logic.training, logic.session
        self.increase = lambda: None
        self._plots, self._report, self._made, self._scanID = TrainingPlots(), None, None, ""
        fill(ui.learnFromBox, zip(SOURCES, (_("The scans in a folder"), _("The volumes of the scene")), strict=True))
        fill(ui.recipeBox, zip(Training.RECIPES, recipeNames(), strict=True))
        fill(ui.startBox, ((DEFAULT_MODEL, _("The bundled weights")), (Training.SCRATCH, _("Scratch"))))
        ui.trainBar.setRange(0, 1000)
        for widget in (ui.trainBar, ui.trainLabel, ui.trainMessage, ui.reportButton, ui.increaseButton):
            widget.visible = False
        ui.learnFromBox.connect("currentIndexChanged(int)", self.refresh)
        ui.cohortEdit.connect("textChanged(QString)", self.refresh)
        ui.curvesBox.connect("toggled(bool)", self.onCurves)
        for button, slot in (
            (ui.cohortButton, self.onFolder), (ui.trainButton, self.onTrain), (ui.resumeButton, self.onResume),
            (ui.adaptButton, self.onAdapt), (ui.reportButton, self.onReport), (ui.increaseButton, self.onIncrease),
        ):  # fmt: skip
            button.connect("clicked(bool)", slot)

    def putViewsBack(self) -> None:
        self.ui.curvesBox.checked = False

    def cleanup(self) -> None:
        self._plots.hide()
        super().cleanup()

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets."""
        ui, running = self.ui, self._training.isRunning
        fromFolder = ui.learnFromBox.currentData == FOLDER
        for widget in (ui.cohortLabel, ui.cohortEdit, ui.cohortButton):
            widget.visible = fromFolder
        unfinished = [] if running else Training.unfinished()
        ui.resumeButton.visible = bool(unfinished)
        ui.resumeButton.text = _("Resume “{name}”").format(name=unfinished[0]) if unfinished else _("Resume")
        scan = self.parameters.inputVolume if self.parameters else None
        self._offer(ui.trainButton, _("Train"), "" if running else self._problem(fromFolder))
        self._offer(ui.adaptButton, _("Adapt to this scan"), self._busy() or TrainingScans.problem(scan))
        if running:
            ui.trainButton.text, ui.trainButton.enabled = _("Stop"), not self._training.isStopping
            ui.trainButton.toolTip = _("Stop and keep what is learned so far; it can be resumed.")

    def _offer(self, button, text: str, problem: str) -> None:
        button.text, button.enabled, button.toolTip = text, not problem, problem

    def _busy(self) -> str:
        return _("A training is in progress: wait for it, or stop it.") if self._training.isRunning else ""

    def _problem(self, fromFolder: bool) -> str:
        if not fromFolder:
            return next(iter(TrainingScans.problems(TrainingScans.inScene())), "")
        return "" if self.ui.cohortEdit.text else _("Choose a folder of CT scans.")

    def onFolder(self) -> None:
        folder = Messages.chooseFolder(_("Folder of CT scans"))
        if folder:
            self.ui.cohortEdit.text = folder

    def onTrain(self) -> None:
        """Start a training, or stop the current one."""
        if self._training.isRunning:
            self._training.stop()
            self.refresh()
            return
        ui, device = self.ui, Parameters.device()
        scans = ui.cohortEdit.text if ui.learnFromBox.currentData == FOLDER else TrainingScans.inScene()
        self._start(
            lambda: self._training.train(
                scans,
                name=ui.nameEdit.text,
                recipe=ui.recipeBox.currentData,
                minutes=ui.minutesBox.value,
                start=ui.startBox.currentData,
                device=device,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
            )
        )

    def onAdapt(self) -> None:
        parameters, minutes = self.parameters, self.ui.adaptMinutesBox.value
        scan = parameters.inputVolume
        self._start(
            lambda: self._training.adapt(
                scan,
                minutes=minutes,
                start=parameters.model,
                device=Parameters.device(),
                thickness=parameters.thickness or None,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
            ),
            scan.GetID(),
        )

    def onResume(self) -> None:
        name = Training.unfinished()[0]
        self._start(lambda: self._training.resume(name, self.onProgress, self.onFinished))

    def _start(self, start, scanID: str = "") -> None:
        """Start a training; `scanID` is the scan that a model is adapted to."""
        if not Needs.areMet(self._say):
            return
        self._say("")
        self._report, self._made, self._scanID = None, None, scanID
        self.ui.reportButton.visible = self.ui.increaseButton.visible = False
        try:
            start()
            self._show(_("Starting"))
        except Outcome.TaskError as error:
            self._say(error.outcome.sentence)
            Messages.showFailure(error.outcome.sentence, error.outcome.log)
        self._tellAll()

    def onProgress(self, event: dict) -> None:
        """Show the progress of the training and its curve."""
        done, total = event.get("done") or 0, event.get("total") or 1
        self.ui.trainBar.value = round(1000 * done / total)
        self._show(stage(event))
        self._plots.update(self._training.curve)

    def _show(self, words: str) -> None:
        self.ui.trainBar.visible = self.ui.trainLabel.visible = True
        self.ui.trainLabel.text = words

    def onFinished(self, outcome) -> None:
        """Show the outcome and the report; offer the model unless it failed validation."""
        ui, trained = self.ui, outcome.output
        ui.trainBar.visible = ui.trainLabel.visible = False
        ui.trainBar.value = 0
        self._say(outcome.sentence)
        if trained is not None:
            self._report, self._made = trained.report, trained.name
        ui.reportButton.visible = self._report is not None
        ui.increaseButton.visible = self._made is not None
        ui.increaseButton.text = _("Increase with “{name}”").format(name=self._made)
        self._tellAll()
        if self._report is not None:
            self.onReport()
        elif outcome.status == Outcome.FAILED:
            Messages.showFailure(outcome.sentence, outcome.log)

    def _tellAll(self) -> None:
        """Refresh every panel that shows models or trainings."""
        if self.parameters:
            self.parameters.Modified()
        else:
            self.refresh()

    def onCurves(self, shown: bool) -> None:
        """Show the curves next to the slice views, or restore the views."""
        if shown:
            self._plots.show(self._training.curve)
        else:
            self._plots.hide()

    def onReport(self) -> None:
        Messages.openOutside(self._report)

    def onIncrease(self) -> None:
        """Select the new model and the scan it was adapted to, and start a run."""
        if self._session.isRunning:
            self._say(_("Another run is in progress: wait for it, or cancel it."))
            return
        self.parameters.model, self.parameters.method = self._made, THREE_VIEW
        scan = slicer.mrmlScene.GetNodeByID(self._scanID) if self._scanID else None
        if scan is not None:
            self.parameters.inputVolume = scan
        self.increase()

    def _say(self, sentence: str) -> None:
        self.ui.trainMessage.text = sentence
        self.ui.trainMessage.visible = bool(sentence)


def recipeNames() -> tuple[str, ...]:
    return _("Automatic"), _("Anchored: thick scans"), _("Dense: thin scans as well")


def stage(event: dict) -> str:
    """Describe the current stage of the training, from a "progress" event."""
    words = {
        "scans": _("Reading the scans"),
        "train": _("Training"),
        "measure": _("Measuring the model"),
        "report": _("Writing the report"),
    }.get(event.get("stage"), "")
    left, loss, gain = event.get("seconds_left"), (event.get("losses") or {}).get("loss_total"), event.get("gain_db")
    parts = [
        words,
        "" if left is None else _("about {time} left").format(time=Wording.duration(left)),
        "" if loss is None else _("loss {loss:.1f}").format(loss=loss),
        "" if gain is None else _("{gain:+.2f} dB over cubic").format(gain=gain),
    ]
    return ", ".join(filter(None, parts))
