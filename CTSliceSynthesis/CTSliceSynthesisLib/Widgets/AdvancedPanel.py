"""Panel of advanced options: method, model with its card, device, slice axis, and additional outputs."""

from __future__ import annotations

from slicer.i18n import tr as _

from .. import Parameters
from ..Setup import ModelCard, Models, Requirements
from . import ModelBox
from .BoundPanel import BoundPanel


class AdvancedPanel(BoundPanel):
    """Panel of the options that most runs leave at their defaults.

    Args:
        ui: widgets by name, from the .ui file.
        onMachineChoice: called when a machine-specific option has changed.
    """

    def __init__(self, ui, onMachineChoice) -> None:
        super().__init__()
        self.ui, self._tell = ui, onMachineChoice
        fill(ui.methodBox, zip(Parameters.METHODS, methodNames(), strict=True))
        fill(ui.axisBox, zip(Parameters.AXES, (_("Automatic"), "i", "j", "k"), strict=True))
        fill(ui.deviceBox, zip(Parameters.DEVICES, deviceNames(), strict=True))
        ui.deviceBox.setCurrentIndex(Parameters.DEVICES.index(Parameters.device()))
        ui.comparisonBox.checked = Parameters.showsComparison()
        ui.cardText.visible = False
        for box, name in ((ui.methodBox, "method"), (ui.modelBox, "model"), (ui.axisBox, "sliceAxis")):
            box.connect(
                "currentIndexChanged(int)", lambda index, box=box, name=name: self._choose(name, box.itemData(index))
            )
        ui.deviceBox.connect("currentIndexChanged(int)", self.onDevice)
        ui.comparisonBox.connect("toggled(bool)", Parameters.setShowsComparison)
        ui.cardButton.connect("toggled(bool)", self.onCard)

    def refresh(self, caller=None, event=None) -> None:
        """Show the current choices; disable those that a classical method does not use."""
        if self.parameters is None:
            return
        ui, parameters = self.ui, self.parameters
        for box, value in (
            (ui.methodBox, parameters.method), (ui.axisBox, parameters.sliceAxis),
        ):  # fmt: skip
            box.setCurrentIndex(box.findData(value))
        ModelBox.show(ui.modelBox, parameters.model)
        networks = parameters.method == Parameters.METHODS[0]
        for widget in (
            ui.modelBox,
            ui.deviceBox,
            ui.keepDisagreementBox,
            ui.thinAcquiredBox,
            ui.evenTextureBox,
            ui.thicknessBox,
            ui.thicknessLabel,
        ):
            widget.enabled = networks
        ui.keepExpectedErrorBox.enabled = networks and Models.knowsItsError(parameters.model)
        ui.methodBox.toolTip = (
            _("PyTorch is not installed yet; you will be asked when you start.")
            if Requirements.missing(parameters.method)
            else _("Three views: networks. The others interpolate between slices.")
        )

    def _choose(self, name: str, value) -> None:
        if self.parameters is not None and value is not None:
            self.parameters.setValue(name, value)

    def onDevice(self, index: int) -> None:
        Parameters.setDevice(Parameters.DEVICES[index])
        self._tell()

    def onCard(self, shown: bool) -> None:
        self.ui.cardText.html = ModelCard.html(self.ui.modelBox.currentData)
        self.ui.cardText.visible = shown


def methodNames() -> tuple[str, ...]:
    return _("Three views (networks)"), _("Cubic"), _("B-spline"), _("Linear")


def deviceNames() -> tuple[str, ...]:
    return _("Automatic"), _("CPU"), _("NVIDIA graphics card"), _("Apple graphics chip")


def fill(box, rows) -> None:
    """Add rows of (value, text) to a combo box."""
    for value, text in rows:
        box.addItem(text, value)
