"""Draws the pictures of the panel and the views in ScreenShots, on the sample scan: the steps of the tutorial.

`make screenshots`. The panel runs on the harness of the tests, not in 3D Slicer: frames and colours of real Slicer differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "Testing" / "harness"), str(REPOSITORY / "CTSliceSynthesis")]

import slicer_harness  # noqa: E402

SIZE, PANEL_WIDTH = (1280, 740), 400


class Stage:
    """The main window with the module's panel beside the views."""

    def __init__(self) -> None:
        self.harness = slicer_harness.start()
        self.slicer, qt = self.harness.slicer, self.harness.qt
        self.window = self.slicer.app.openMainWindow()
        module = self.harness.load(REPOSITORY / "CTSliceSynthesis" / "CTSliceSynthesis.py")
        self.harness.completeStartup()
        self.representation = module.widgetRepresentation()
        self.area = self.window.panel.area
        self.area.setVerticalScrollBarPolicy(qt.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.window.panel.setFixedWidth(PANEL_WIDTH)
        self.window.setWindowTitle("CT Slice Synthesis")
        self.window.resize(*SIZE)
        self.window.show()
        self.manager = self.slicer.app.layoutManager()

    @property
    def panel(self):
        return self.representation.self()

    def settle(self) -> None:
        """Process events until all layouts have their final sizes: changes propagate outward one layout at a time."""
        for _ in range(5):
            self.harness.settle()

    def fit(self) -> None:
        """Fill the views, as they are on the screen."""
        self.settle()
        for name in self.manager.shownNames():
            if self.manager.sliceWidget(name):
                self.manager.sliceWidget(name).sliceLogic().FitSliceToBackground()

    def draw(self, name: str, top=None) -> None:
        """Write a picture; the panel is scrolled so that the widget `top` is seen."""
        self.settle()
        self.area.ensureWidgetVisible(top or self.panel.ui.inputSelector, 0, 0)
        if top is not None:
            self.area.verticalScrollBar().setValue(top.mapTo(self.representation, self.harness.qt.QPoint(0, 0)).y() - 6)
        self.window.centralWidget().update()
        self.settle()
        self.window.grab().save(str(REPOSITORY / "ScreenShots" / f"{name}.png"))
        print(f"{name}.png")


def main() -> None:
    stage = Stage()
    load(stage)
    increase(stage)
    compare(stage)
    check(stage)
    export(stage)
    stage.panel.ui.advancedSection.collapsed = False
    stage.draw("advanced", stage.panel.ui.advancedSection)


def load(stage: Stage) -> None:
    """The sample, as Sample Data loads it, in two planes that cut through its slices."""
    import SampleData

    slicer = stage.slicer
    thick = SampleData.downloadSample("CTBodyThick")
    thick.GetDisplayNode().SetAutoWindowLevel(False)
    thick.GetDisplayNode().SetWindowLevel(1400, -300)
    stage.manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    for name, plane in (("Red", "Coronal"), ("Yellow", "Sagittal")):
        widget = stage.manager.sliceWidget(name)
        widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(thick.GetID())
        widget.mrmlSliceNode().SetOrientation(plane)
    stage.slicer.util.selectModule("CTSliceSynthesis")
    stage.fit()


def increase(stage: Stage) -> None:
    """One click."""
    panel = stage.panel
    panel.ui.resolutionBox.setCurrentIndex(2)
    panel.ui.thicknessBox.value = 1.5
    panel.ui.keepDisagreementBox.checked = True
    stage.draw("before")
    stage.harness.click(panel.ui.runButton)
    stage.harness.wait(lambda: panel.ui.progressBar.value > 180)
    stage.draw("during")
    stage.harness.wait(lambda: not panel.logic.session.isRunning)
    stage.draw("after")


def compare(stage: Stage) -> None:
    """The ways to compare, one after the other."""
    from CTSliceSynthesisLib.Scene import Origin
    from CTSliceSynthesisLib.Views import Comparison

    section, slicer = stage.panel.sections["Compare"], stage.slicer
    ui, after = section.ui, stage.panel._parameters.afterVolume
    ui.compareSection.collapsed = False
    ui.uninterpolatedBox.checked = True
    stage.draw("compare", ui.compareSection)
    ui.uninterpolatedBox.checked = False
    ui.viewBox.setCurrentIndex(Comparison.VIEWS.index(Comparison.DIFFERENCE))
    stage.draw("difference", ui.compareSection)
    ui.viewBox.setCurrentIndex(0)
    kept = [role for role in Comparison.OVERLAYS[1:] if Origin.companion(after, role) is not None]
    ui.overlayBox.setCurrentIndex(Comparison.OVERLAYS.index(kept[0]))
    stage.draw("overlay", ui.compareSection)
    ui.overlayBox.setCurrentIndex(0)
    ui.viewBox.setCurrentIndex(Comparison.VIEWS.index(Comparison.RENDERING))
    stage.draw("rendering", ui.compareSection)
    ui.viewBox.setCurrentIndex(0)
    stage.harness.click(ui.leaveButton)
    ui.compareSection.collapsed = True
    stage.manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    red = stage.manager.sliceWidget("Red")
    red.mrmlSliceNode().SetOrientation("Axial")
    red.mrmlSliceCompositeNode().SetBackgroundVolumeID(after.GetID())
    stage.fit()
    stage.draw("slices")


def check(stage: Stage) -> None:
    """The model on this very scan, and what can be trained."""
    ui = stage.panel.sections["Check"].ui
    ui.checkSection.collapsed = False
    stage.settle()
    stage.harness.click(ui.checkButton)
    stage.harness.wait(lambda: not stage.panel.logic.checking.isRunning)
    stage.harness.click(ui.placeButton)
    stage.draw("check", ui.checkSection)
    ui.checkSection.collapsed = True
    train = stage.panel.sections["Train"].ui
    train.trainSection.collapsed = False
    stage.draw("train", train.trainSection)
    train.trainSection.collapsed = True


def export(stage: Stage) -> None:
    """The section that writes a DICOM series, filled in for a scan that is not DICOM."""
    ui = stage.panel.sections["Export"].ui
    ui.exportSection.collapsed = False
    stage.settle()
    ui.patientEdit.text, ui.patientNameEdit.text = "EXAMPLE-1", "Example^Patient"
    stage.draw("export", ui.exportSection)
    ui.exportSection.collapsed = True


if __name__ == "__main__":
    main()
