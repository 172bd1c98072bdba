"""Panel section that compares the volumes before and after."""

from __future__ import annotations

from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from .. import Parameters
from ..Scene import Origin
from ..Views import Comparison, ErrorOverlays
from .BoundPanel import BoundPanel


class ComparePanel(BoundPanel):
    """Shows the options of a comparison and controls it.

    Args:
        ui: widgets by name, from the .ui file.
        logic: the module's logic.
    """

    def __init__(self, ui, logic) -> None:
        super().__init__()
        self.ui, self._logic = ui, logic
        self.comparison, self._result = Comparison.Comparison(), None
        self.comparison.onLeft = self.refresh
        for value, text in zip(Comparison.VIEWS, viewNames(), strict=True):
            ui.viewBox.addItem(text, value)
        for value in Comparison.OVERLAYS:
            ui.overlayBox.addItem(_("None") if value == Comparison.NO_OVERLAY else ErrorOverlays.title(value), value)
        for box in (ui.viewBox, ui.overlayBox):
            box.connect("currentIndexChanged(int)", self.onChoice)
        ui.slabBox.connect("valueChanged(double)", self.onChoice)
        ui.uninterpolatedBox.connect("toggled(bool)", self.onChoice)
        ui.compareButton.connect("clicked(bool)", self.onCompare)
        ui.turnButton.connect("clicked(bool)", self.onTurn)
        ui.leaveButton.connect("clicked(bool)", self.comparison.leave)

    def putViewsBack(self) -> None:
        self.comparison.leave()

    def cleanup(self) -> None:
        """End the comparison together with the panel."""
        self.comparison.leave()
        super().cleanup()

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets for the selected volumes and the current comparison."""
        self._findSource()
        ui, shown = self.ui, self.comparison.isShown
        choices = self._choices()
        problems = self._problems(choices)
        ui.explanationLabel.text = problems[0] if problems else explanation(choices)
        ui.compareButton.enabled = not problems and not (shown and self._showsWhatIsChosen())
        ui.compareButton.toolTip = problems[0] if problems else _("Show both; the views go back when you leave.")
        ui.leaveButton.enabled = shown
        ui.turnButton.enabled = shown and self.comparison.choices.view == Comparison.IN_TURN
        ui.turnButton.text = _("Show after") if self.comparison.choices.showsBefore else _("Show before")
        slices = choices.view != Comparison.RENDERING
        for widget in (ui.overlayBox, ui.slabBox, ui.uninterpolatedBox):
            widget.enabled = slices

    def _showsWhatIsChosen(self) -> bool:
        selected = self.parameters.beforeVolume, self.parameters.afterVolume
        return selected == (self.comparison.before, self.comparison.after)

    def _findSource(self) -> None:
        """When another result is selected, select its scan too."""
        if self.parameters is None:
            return
        result, known = self.parameters.afterVolume, self._result
        self._result = result
        source = Origin.companion(result, Origin.SOURCE)
        isAnother = known is not None and result is not known
        if source is not None and (isAnother or self.parameters.beforeVolume is None):
            self.parameters.beforeVolume = source

    def _problems(self, choices: Comparison.Choices) -> list[str]:
        if self.parameters is None:
            return [_("No scene is shown.")]
        return Comparison.problems(self.parameters.beforeVolume, self.parameters.afterVolume, choices)

    def _choices(self) -> Comparison.Choices:
        ui = self.ui
        return Comparison.Choices(
            view=ui.viewBox.currentData,
            showsBefore=self.comparison.choices.showsBefore,
            overlay=ui.overlayBox.currentData,
            uninterpolated=ui.uninterpolatedBox.checked,
            slab=ui.slabBox.value,
        )

    def onChoice(self) -> None:
        """Apply changed options to the comparison at once; if that is not possible, leave it as it is and show the reason."""
        if self.comparison.isShown and self._showsWhatIsChosen() and not self._problems(self._choices()):
            self._show(self._choices())
        self.refresh()

    def onCompare(self) -> None:
        self._show(replace(self._choices(), showsBefore=False))
        self.refresh()

    def onTurn(self) -> None:
        turned = not self.comparison.choices.showsBefore
        self._show(replace(self.comparison.choices, showsBefore=turned), self.comparison.before, self.comparison.after)
        self.refresh()

    def _show(self, choices: Comparison.Choices, before=None, after=None) -> None:
        """Show two volumes; by default the selected ones."""
        before, after = before or self.parameters.beforeVolume, after or self.parameters.afterVolume
        with slicer.util.tryWithErrorDisplay(_("The comparison could not be shown."), waitCursor=True):
            self.comparison.show(before, after, choices)

    def showResult(self, source, output) -> None:
        """Select the result of a run with its scan, and compare them if the user has enabled that.

        Args:
            source: the scan; None if it was removed.
            output: the result.
        """
        parameters = self._logic.getParameterNode()
        parameters.beforeVolume, parameters.afterVolume = source, output
        if source is not None and Parameters.showsComparison():
            choices = self._choices()
            possible = not Comparison.problems(source, output, choices)
            self._show(choices if possible else Comparison.Choices(), source, output)
        self.refresh()


def viewNames() -> tuple[str, ...]:
    return _("Side by side"), _("In turn"), _("Difference"), _("Volume rendering")


def explanation(choices: Comparison.Choices) -> str:
    """Return explanations of the view and the overlay, one per line."""
    lines = []
    if choices.view == Comparison.DIFFERENCE:
        half = Comparison.DIFFERENCE_WINDOW // 2
        sentence = _(
            "Right: after minus before, from {low} to {high} HU. Before is interpolated linearly between its slices, as a"
            " reader would see it."
        )
        lines.append(sentence.format(low=-half, high=half))
    if choices.overlay != Comparison.NO_OVERLAY and choices.view != Comparison.RENDERING:
        lines.append(
            _("Below {least} HU the overlay is transparent; up to {most} HU it grows denser, and brighter.").format(
                least=ErrorOverlays.LEAST, most=ErrorOverlays.MOST
            )
        )
    return "\n".join(lines)
