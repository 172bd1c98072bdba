"""Runs that end while another module is shown, and results that were removed."""

import pytest
from test_panel_run import choose, finish, volumes


def test_a_run_that_ends_while_another_module_is_shown_leaves_its_views_and_is_reported(harness, panel, makeVolume):
    slicer = harness.slicer
    manager, layouts = slicer.app.layoutManager(), slicer.vtkMRMLLayoutNode
    manager.setLayout(layouts.SlicerLayoutFourUpView)
    choose(panel, makeVolume(), method="cubic")
    harness.click(panel.ui.runButton)
    slicer.util.selectModule("Data")
    finish(harness, panel)
    assert "scan x2 cubic" in volumes(harness)
    assert manager.layout == layouts.SlicerLayoutFourUpView
    message = slicer.util.mainWindow().statusBar().currentMessage()
    assert message.startswith("CT Slice Synthesis: “scan x2 cubic” is ready")
    slicer.util.selectModule("CTSliceSynthesis")
    assert manager.layout == layouts.SlicerLayoutSideBySideView
    assert panel._parameters.afterVolume.GetName() == "scan x2 cubic"
    assert "is ready" in panel.ui.messageLabel.text
    panel.sections["Compare"].comparison.leave()


def test_a_result_removed_while_another_module_was_shown_is_not_shown(harness, panel, makeVolume):
    slicer = harness.slicer
    choose(panel, makeVolume(), method="cubic")
    harness.click(panel.ui.runButton)
    slicer.util.selectModule("Data")
    finish(harness, panel)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("scan x2 cubic"))
    slicer.util.selectModule("CTSliceSynthesis")
    assert panel._parameters.afterVolume is None
    assert not panel.sections["Compare"].comparison.isShown
    assert panel.ui.messageLabel.isHidden()


@pytest.mark.parametrize("way", ["close the scene", "remove the result"])
def test_a_removed_result_is_not_reported_as_ready(harness, panel, makeVolume, way):
    choose(panel, makeVolume(), method="cubic")
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    assert "is ready" in panel.ui.messageLabel.text
    if way == "close the scene":
        harness.closeScene()
    else:
        harness.slicer.mrmlScene.RemoveNode(harness.slicer.util.getNode("scan x2 cubic"))
    assert panel.ui.messageLabel.text == "" and panel.ui.messageLabel.isHidden()


def test_a_check_that_ends_while_another_module_is_shown_marks_its_place_when_the_panel_is_back(
    harness, panel, thickSample
):
    slicer = harness.slicer
    choose(panel, thickSample)
    check = panel.sections["Check"].ui
    check.checkSection.collapsed = False
    harness.click(check.checkButton)
    slicer.util.selectModule("Volumes")
    harness.wait(lambda: not panel.logic.checking.isRunning)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert slicer.util.mainWindow().statusBar().currentMessage() == "CT Slice Synthesis: The check is done."
    slicer.util.selectModule("CTSliceSynthesis")
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")) == 1
    check.checkSection.collapsed = True
