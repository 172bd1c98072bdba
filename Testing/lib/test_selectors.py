"""Volume selectors: which volumes are offered, and that removing one selects no other."""

import pytest
from test_compare import exactly
from test_panel_run import choose, finish


def offered(selector):
    return [selector.box.itemText(index) for index in range(selector.box.count())]


def test_derived_maps_are_not_offered_in_any_selector(harness, panel, thickSample):
    choose(panel, thickSample, keepDisagreement=True, keepExpectedError=True)
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    compare = panel.sections["Compare"].ui
    compare.compareSection.collapsed = False
    compare.viewBox.setCurrentIndex(2)  # the difference
    kinds = ("expected error", "disagreement", " minus ")
    names = [node.GetName() for node in exactly(harness.slicer, "vtkMRMLScalarVolumeNode")]
    assert all(any(kind in name for name in names) for kind in kinds)
    for selector in (panel.ui.inputSelector, panel.ui.outputSelector, compare.beforeSelector, compare.afterSelector):
        assert offered(selector)[1:] == ["thick sample", "thick sample x2"]
    harness.click(compare.leaveButton)
    compare.viewBox.setCurrentIndex(0)
    compare.compareSection.collapsed = True


def test_derived_maps_are_not_offered_in_a_loaded_scene_either(harness, panel, makeVolume, tmp_path):
    slicer = harness.slicer
    for index, name in enumerate(("expected error", "scan")):
        node = makeVolume(name=name)
        assert slicer.util.saveNode(node, str(tmp_path / f"{index}.nrrd"))
    slicer.util.getNode("expected error").SetAttribute("CTSliceSynthesis.content", "expected error in HU")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    harness.closeScene()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    assert offered(panel.ui.inputSelector)[1:] == ["scan"]
    assert panel._parameters.inputVolume.GetName() == "scan"  # the first that is a scan


@pytest.mark.parametrize("gone", ["first", "second", "third"])
def test_removing_the_input_selects_no_other_volume(harness, panel, makeVolume, gone):
    for name in ("first", "second", "third"):
        makeVolume(name=name)
    slicer, compare = harness.slicer, panel.sections["Compare"].ui
    for name in ("inputVolume", "outputVolume", "beforeVolume", "afterVolume"):
        panel._parameters.setValue(name, slicer.util.getNode(gone))
    slicer.mrmlScene.RemoveNode(slicer.util.getNode(gone))
    for selector in (panel.ui.inputSelector, panel.ui.outputSelector, compare.beforeSelector, compare.afterSelector):
        assert selector.currentNode() is None
    assert panel._parameters.inputVolume is None and panel._parameters.afterVolume is None
    assert harness.tip(panel.ui.runButton) == "Choose an input volume."


def test_removing_another_volume_changes_no_selection(harness, panel, makeVolume):
    kept, other = makeVolume(name="kept"), makeVolume(name="other")
    panel._parameters.inputVolume = kept
    harness.slicer.mrmlScene.RemoveNode(other)
    assert panel.ui.inputSelector.currentNode() is kept
