"""Draws ScreenShots/before.png, during.png and after.png: the module's panel beside slice views, on the bundled sample.

`make screenshots`. The panel runs on the harness of the tests, not in 3D Slicer: frames and colours of real Slicer differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "Testing" / "harness"), str(REPOSITORY / "CTSliceSynthesis")]

import slicer_harness  # noqa: E402

SIZE, PANEL_WIDTH = (1280, 640), 400


def main() -> None:
    harness = slicer_harness.start()
    slicer, qt = harness.slicer, harness.qt
    window = slicer.app.openMainWindow()
    module = harness.load(REPOSITORY / "CTSliceSynthesis" / "CTSliceSynthesis.py")
    representation = module.widgetRepresentation()
    dock = qt.QDockWidget(module.title)
    dock.setWidget(representation)
    representation.setFixedWidth(PANEL_WIDTH)
    window.addDockWidget(qt.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    window.setWindowTitle("CT Slice Synthesis")
    window.resize(*SIZE)
    window.show()
    from CTSliceSynthesis import thickSample

    thick = thickSample(4)
    thick.SetName("chest 6 mm")
    thick.GetDisplayNode().SetAutoWindowLevel(False)
    thick.GetDisplayNode().SetWindowLevel(1400, -300)
    thick.GetDisplayNode().SetInterpolate(False)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    for name in ("Red", "Yellow"):
        widget = slicer.app.layoutManager().sliceWidget(name)
        widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(thick.GetID())
        widget.mrmlSliceNode().SetOrientation("Coronal" if name == "Red" else "Sagittal")
    representation.enter()
    panel = representation.self()
    panel.ui.resolutionBox.setCurrentIndex(2)
    panel.ui.thicknessBox.value = 1.5
    fit(slicer)
    draw(harness, window, "before")
    harness.click(panel.ui.runButton)
    harness.wait(lambda: panel.ui.progressBar.value > 180)
    draw(harness, window, "during")
    harness.wait(lambda: not panel.logic.session.isRunning)
    fit(slicer)
    draw(harness, window, "after")
    panel.ui.advancedSection.collapsed = False
    draw(harness, window, "advanced")


def fit(slicer) -> None:
    """Fill the views, as they are on the screen."""
    slicer.app.processEvents()
    for name in ("Red", "Yellow"):
        widget = slicer.app.layoutManager().sliceWidget(name)
        widget.sliceLogic().FitSliceToBackground()


def draw(harness, window, name: str) -> None:
    harness.slicer.app.processEvents()
    window.centralWidget().update()
    path = REPOSITORY / "ScreenShots" / f"{name}.png"
    window.grab().save(str(path))
    print(path.name)


if __name__ == "__main__":
    main()
