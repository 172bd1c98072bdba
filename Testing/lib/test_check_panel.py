"""The check of a model on the input, through the panel's button: real scan, real child process, real engine."""

import sys

import numpy as np
import pytest
from test_panel_run import choose


def finish(harness, panel):
    harness.wait(lambda: not panel.logic.checking.isRunning)


@pytest.fixture
def ui(panel):
    """The widgets of the section, unfolded."""
    found = panel.sections["Check"].ui
    found.checkSection.collapsed = False
    yield found
    panel.logic.checking.cancel()
    found.checkSection.collapsed = True


def test_a_click_measures_the_model_and_the_worst_place_is_one_click_away(harness, panel, ui, thickSample):
    slicer = harness.slicer
    choose(panel, thickSample)
    harness.click(ui.checkButton)
    assert ui.checkButton.text == "Cancel"
    seen = []

    def ended():
        seen.append(ui.checkBar.value)
        return not panel.logic.checking.isRunning

    harness.wait(ended)
    running = seen[:-1]
    assert running == sorted(running) and len(set(running)) >= 3
    text = ui.checkTable.text
    for word in ("PSNR dB", "MAE HU", "Bias HU", "compact", "Cubic", "B-spline", "Linear"):
        assert word in text
    assert "the model is better than the others" in ui.checkMessage.text
    assert "on 12 slices that were left out, in gaps of 12 mm: twice the real ones" in ui.checkMessage.text
    assert "twice as wide as the real ones" in ui.checkExplanation.text
    result = panel.sections["Check"]._result
    assert result.isBetter and result.gain > 0
    assert f"{result.methods['three-view']['psnr_db']:.2f}" in text
    (mark,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert mark.GetNthControlPointLabel(0) == f"Worst place: {result.placeError:.0f} HU"
    assert list(mark.GetNthControlPointPositionWorld(0)) == pytest.approx(list(result.place))
    assert not mark.GetSaveWithScene() and mark.GetDisplayNode().GetVisibility()
    harness.click(ui.placeButton)
    (mark,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    view = slicer.app.layoutManager().sliceWidget("Red")
    marked = view.picture().astype(int)
    mark.GetDisplayNode().SetVisibility(False)
    assert (np.abs(marked - view.picture()).sum(-1) > 60).any()  # it is seen
    ui.checkSection.collapsed = True
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    ui.checkSection.collapsed = False
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")) == 1

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, -20, 30)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for shift in (np.zeros(3), matrix[:3, 3]):
        harness.click(ui.placeButton)
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            centre = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 3]
            assert np.abs(centre - result.place - shift).max() < 1e-3
        thickSample.SetAndObserveTransformNodeID(transform.GetID())
    (mark,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert list(mark.GetNthControlPointPositionWorld(0)) == pytest.approx(list(np.add(result.place, matrix[:3, 3])))
    slicer.mrmlScene.RemoveNode(thickSample)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    harness.click(ui.placeButton)
    assert "no longer in the scene" in ui.checkMessage.text


def test_a_model_that_loses_on_this_scan_is_reported_and_another_method_recommended(
    harness, panel, ui, thickSample, writeWeights, tmp_path
):
    choose(panel, thickSample, model=str(writeWeights(tmp_path / "nonsense.pt", size=0.1)))
    harness.click(ui.checkButton)
    finish(harness, panel)
    rival = {"cubic": "Cubic", "bspline": "B-spline", "linear": "Linear"}[panel.sections["Check"]._result.bestClassical]
    assert "On this scan the model loses: -" in ui.checkMessage.text
    assert f"Choose the method “{rival}” for it (under Model and advanced)" in ui.checkMessage.text
    assert panel.ui.advancedSection.text == "Model and advanced"


def test_a_check_can_be_canceled_and_leaves_nothing(harness, panel, ui, thickSample):
    choose(panel, thickSample)
    harness.click(ui.checkButton)
    folder = panel.logic.checking.folder
    harness.click(ui.checkButton)
    assert not panel.logic.checking.isRunning
    assert not folder.exists()
    assert ui.checkMessage.text == "The check was canceled."
    assert ui.checkTable.isHidden() and ui.placeButton.isHidden() and ui.checkBar.isHidden()
    assert ui.checkButton.text == "Check on this scan"


def test_closing_the_scene_ends_the_check(harness, panel, ui, thickSample):
    choose(panel, thickSample)
    harness.click(ui.checkButton)
    harness.closeScene()
    assert not panel.logic.checking.isRunning
    assert "scene was closed" in ui.checkMessage.text


def test_a_scan_too_small_to_check_is_reported_before_anything_starts(harness, panel, ui, logic, makeVolume):
    node = makeVolume(size=(24, 20, 6))
    choose(panel, node)
    assert not ui.checkButton.enabled
    assert harness.tip(ui.checkButton) == (
        "A check leaves out every other slice and needs at least 7 slices; “scan” has 6."
    )
    with pytest.raises(RuntimeError, match="at least 7 slices; “scan” has 6"):
        logic.check(node)
    with pytest.raises(RuntimeError, match="Choose an input volume"):
        logic.check(None)


def test_a_script_gets_a_plain_result(harness, logic, makeVolume, tinyWeights):
    shares = []
    result = logic.check(makeVolume(size=(24, 20, 9)), model=str(tinyWeights), onProgress=shares.append, device="cpu")
    assert set(result.methods) == {"three-view", "cubic", "bspline", "linear"}
    assert result.counted == 4
    assert result.methods["three-view"]["psnr_db"] == pytest.approx(result.methods["cubic"]["psnr_db"], abs=0.05)
    assert not result.isBetter
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_check_that_fails_says_why(harness, logic, makeVolume, tmp_path):
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    with pytest.raises(RuntimeError, match=r"The model bad\.pt is damaged"):
        logic.check(makeVolume(), model=str(tmp_path / "bad.pt"))


def test_a_check_without_pytorch_says_what_to_install(harness, panel, ui, makeVolume, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    choose(panel, makeVolume())
    seen = []
    harness.answer("Ok", seen)
    harness.click(ui.checkButton)
    assert "Install the extension “PyTorch”" in seen[0]
    assert not panel.logic.checking.isRunning


def test_a_check_and_a_run_go_on_side_by_side(harness, panel, ui, thickSample):
    choose(panel, thickSample, method="cubic")
    harness.click(ui.checkButton)
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("thick sample x2 cubic")
    finish(harness, panel)
    assert not ui.checkTable.isHidden()
