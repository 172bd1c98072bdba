"""Panel section for models: select one, read its card, add one, and manage the model folder."""

from __future__ import annotations

from CTSliceSynthesisEngine.networks.registry import DEFAULT_MODEL
from slicer.i18n import tr as _

from .. import Messages
from ..Processes import Outcome
from ..Setup import ModelCard, ModelFolder, Models
from . import ModelBox, Needs
from .BoundPanel import BoundPanel


class ModelsPanel(BoundPanel):
    """Shows the available models and the card of the selected one.

    Args:
        ui: widgets by name, from the .ui file.
        logic: the module's logic.
    """

    def __init__(self, ui, logic) -> None:
        super().__init__()
        self.ui, self._inspection, self._training = ui, logic.inspection, logic.training
        self._card = ""
        self._say("")
        ui.chosenModelBox.connect("currentIndexChanged(int)", self.onChosen)
        ui.addModelButton.connect("clicked(bool)", self.onAdd)
        ui.bundledModelButton.connect("clicked(bool)", self.onBundled)
        ui.openModelsButton.connect("clicked(bool)", self.onOpen)
        ui.emptyModelsButton.connect("clicked(bool)", self.onEmpty)

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets."""
        ui, parameters = self.ui, self.parameters
        chosen = parameters.model if parameters else DEFAULT_MODEL
        ModelBox.show(ui.chosenModelBox, chosen)
        self._showCard(chosen)
        ui.bundledModelButton.enabled = parameters is not None and chosen != DEFAULT_MODEL
        ui.addModelButton.enabled = not self._inspection.isRunning
        ui.emptyModelsButton.enabled = bool(ModelFolder.content()) and not self._training.isRunning
        ui.emptyModelsButton.toolTip = (
            _("A training is running in the folder: wait for it, or stop it.")
            if self._training.isRunning
            else _("Remove all models that were added or trained here, and trainings that were not finished.")
        )

    def _showCard(self, name: str) -> None:
        """Show a card, or why there is none; an unchanged card keeps its scroll position."""
        problems = Models.problems(name)
        card = ModelCard.html(name) or f"<p>{ModelCard.text(problems[0] if problems else name)}</p>"
        if card != self._card:
            self._card = card
            self.ui.modelCard.html = card

    def onChosen(self, index: int) -> None:
        name = self.ui.chosenModelBox.itemData(index)
        if self.parameters and name is not None:
            self.parameters.model = name

    def onBundled(self) -> None:
        self.parameters.model = DEFAULT_MODEL

    def onAdd(self) -> None:
        """Ask for a file and inspect it."""
        path = Messages.chooseFile(_("Add a model"), _("Weights (*.pt);;All files (*)"))
        if not path or not Needs.areMet(self._say):
            return
        try:
            self._inspection.start(path, self.onAdded)
            self._say(_("The file is being checked…"))
        except Outcome.TaskError as error:
            self.onAdded(error.outcome)
        self.refresh()

    def onAdded(self, outcome) -> None:
        """Select the new model; if it cannot be used, keep the current selection."""
        self._say(outcome.sentence)
        if outcome.status == Outcome.SUCCEEDED and self.parameters:
            self.parameters.model = outcome.output
        self.refresh()
        if outcome.status == Outcome.FAILED:
            Messages.showFailure(outcome.sentence, "")

    def onOpen(self) -> None:
        ModelFolder.folder().mkdir(parents=True, exist_ok=True)
        Messages.openOutside(ModelFolder.folder())

    def onEmpty(self) -> None:
        """Empty the folder after confirmation; if the selected model is removed, select the default one."""
        listed = ", ".join(path.name for path in ModelFolder.content() if path.is_dir())
        question = _("Remove all models and trainings on this computer ({names})? The bundled models stay.")
        if not Messages.confirm(question.format(names=listed)):
            return
        try:
            ModelFolder.empty()
            self._say(_("The model folder is empty."))
        except OSError as error:
            self._say(_("The model folder could not be emptied: {error}.").format(error=error))
        if self.parameters and Models.find(self.parameters.model) is None:
            self.parameters.model = DEFAULT_MODEL
        if self.parameters:
            self.parameters.Modified()  # refreshes every panel that lists models

    def _say(self, sentence: str) -> None:
        self.ui.modelsMessage.text = sentence
        self.ui.modelsMessage.visible = bool(sentence)
