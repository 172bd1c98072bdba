"""The views of a comparison: shared plane, scale and window/level; overlays, and what is saved."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from test_compare import DIFFERENCE, EXPECTED_ERROR, IN_TURN, RENDERING, SIDE_BY_SIDE, composite, exactly, state


@pytest.fixture
def ui(panel):
    return panel.sections["Compare"].ui


def views(harness, names=("Red", "Yellow")):
    return [harness.slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode() for name in names]


def distortion(node):
    """Return the aspect ratio at which a square in the patient is displayed; 1 without distortion."""
    size, field = node.GetDimensions(), node.GetFieldOfView()
    return (size[0] / field[0]) / (size[1] / field[1])


def scale(node):
    return node.GetFieldOfView()[1] / node.GetDimensions()[1]


def pictured(harness, node):
    """Return the pixels of a view, without annotations."""
    pixels = harness.slicer.app.layoutManager().sliceWidget(node.GetLayoutName()).picture()
    return pixels[len(pixels) // 4 : 3 * len(pixels) // 4]


ORDERS = (
    (IN_TURN, SIDE_BY_SIDE, DIFFERENCE),
    (SIDE_BY_SIDE, IN_TURN, DIFFERENCE),  # the right view has its size already when the left one gets it
    (SIDE_BY_SIDE, RENDERING, IN_TURN, DIFFERENCE),
)


@pytest.mark.parametrize("order", ORDERS)
def test_anatomy_is_never_distorted_and_has_one_scale(harness, pair, ui, order):
    """Views get their sizes after the layout change; some already have them."""
    ui.viewBox.setCurrentIndex(order[0])
    harness.click(ui.compareButton)
    for view in order:
        ui.viewBox.setCurrentIndex(view)
        harness.settle()
        shown = views(harness, {IN_TURN: ("Red",), RENDERING: ("Red", "Green")}.get(view, ("Red", "Yellow")))
        assert [distortion(node) for node in shown] == pytest.approx([1] * len(shown))
        assert [scale(node) for node in shown] == pytest.approx([scale(shown[0])] * len(shown))
        widths = [np.ptp(np.flatnonzero(pictured(harness, node).max(-1).any(0))) for node in shown]
        assert max(widths) - min(widths) <= 2  # pixels: what is drawn, too
    harness.click(ui.leaveButton)
    harness.settle()
    assert [distortion(node) for node in views(harness, ("Red", "Green", "Yellow"))] == pytest.approx([1] * 3)


def test_enlarged_views_are_fitted_again_unless_the_user_has_zoomed(harness, pair, ui):
    manager = harness.slicer.app.layoutManager()
    harness.click(ui.compareButton)
    harness.settle()
    filled = scale(views(harness)[0])
    views(harness)[0].SetSliceOffset(3.25)
    manager.resizeArea(2000, 1200)
    harness.settle()
    assert scale(views(harness)[1]) == pytest.approx(filled / 2, rel=0.02)
    assert [node.GetSliceOffset() for node in views(harness)] == pytest.approx([3.25, 3.25])
    leader = views(harness)[0]
    leader.SetFieldOfView(*(0.25 * value for value in leader.GetFieldOfView()[:2]), leader.GetFieldOfView()[2])
    high = leader.GetFieldOfView()[1]
    manager.resizeArea(1000, 600)
    harness.settle()
    assert leader.GetFieldOfView()[1] == pytest.approx(high)
    assert [distortion(node) for node in views(harness)] == pytest.approx([1, 1])
    assert scale(views(harness)[1]) == pytest.approx(scale(leader))


def test_window_and_level_changed_in_one_view_change_in_both_and_are_restored(harness, pair, ui):
    before = state(harness)
    harness.click(ui.compareButton)
    displays = [node.GetDisplayNode() for node in pair]
    for moved, other, window in ((*displays, (1500, -600)), (*displays[::-1], (350, 40))):
        moved.SetAutoWindowLevel(False)
        moved.SetWindowLevel(*window)
        assert (other.GetWindow(), other.GetLevel()) == window
        assert not other.GetAutoWindowLevel()
    ui.viewBox.setCurrentIndex(IN_TURN)
    assert displays[0].GetWindow() == 350  # another view keeps what the reader has set
    harness.click(ui.leaveButton)
    assert state(harness) == before
    displays[0].SetWindowLevel(1000, 0)
    assert displays[1].GetWindow() != 1000


def picture(harness, name="Yellow"):
    harness.settle()
    return harness.slicer.app.layoutManager().sliceWidget(name).picture().astype(int)


def test_overlay_opacity_increases_with_the_error_and_is_zero_below_the_threshold(harness, pair, ui):
    slicer = harness.slicer
    doubt = slicer.util.getNode("expectedError")
    levels = (0, 20, 50, 100)
    voxels = np.zeros(slicer.util.arrayFromVolume(doubt).shape, np.int16)
    for index, hu in enumerate(levels):  # four columns from left to right
        voxels[..., 6 * index : 6 * index + 6] = hu
    slicer.util.updateVolumeFromArray(doubt, voxels)
    flat = np.full(voxels.shape, -100, np.int16)
    flat[0, 0, 0] = -101  # one voxel differs: a constant volume is rejected
    slicer.util.updateVolumeFromArray(pair[1], flat)
    pair[1].GetDisplayNode().SetAutoWindowLevel(False)
    pair[1].GetDisplayNode().SetWindowLevel(400, 0)
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    harness.click(ui.compareButton)
    pixels = picture(harness)
    middle = pixels[pixels.shape[0] // 2]
    grey = np.ptp(middle, axis=-1) < 3
    body = np.flatnonzero(middle.max(-1) > 40)
    columns = np.array_split(middle[body], 4)
    colourful = [float(np.ptp(np.median(column, axis=0))) for column in columns]
    if colourful[0] > colourful[-1]:  # the patient's left is on the right
        colourful.reverse()
    assert colourful[0] == 0 and colourful == sorted(colourful)
    assert colourful[1] < 20 and colourful[-1] > 60
    assert grey.any()


def test_the_legend_is_below_the_volume_and_does_not_cover_it(harness, pair, ui):
    slicer = harness.slicer
    harness.click(ui.compareButton)
    harness.settle()
    wide = scale(views(harness)[1])
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    with_legend = picture(harness)
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    legend.SetVisibility(False)
    changed = np.abs(with_legend - picture(harness)).sum(-1) > 30
    rows = np.flatnonzero(changed.any(1))
    bounds = [0.0] * 6
    slicer.app.layoutManager().sliceWidget("Yellow").sliceLogic().GetBackgroundSliceBounds(bounds)
    node = views(harness)[1]
    lowest = node.GetDimensions()[1] / 2 * (1 + (bounds[3] - bounds[2]) / node.GetFieldOfView()[1])
    assert rows.size and rows.min() >= lowest - 1, (rows.min(), lowest)
    assert scale(node) >= wide


def test_volume_renderings_are_labeled_and_the_slices_below_show_both(harness, pair, ui):
    slicer = harness.slicer
    before = state(harness)
    ui.viewBox.setCurrentIndex(RENDERING)
    harness.click(ui.compareButton)
    manager = slicer.app.layoutManager()
    captions = [manager.threeDWidget(index).threeDView().cornerAnnotation() for index in range(2)]
    assert [one.GetText(captions[0].UpperEdge) for one in captions] == ["Before: scan", "After: scan x4 cubic"]
    shown = [composite(harness, name).GetBackgroundVolumeID() for name in ("Red", "Green", "Yellow")]
    assert shown == [pair[0].GetID(), pair[1].GetID(), pair[1].GetID()]
    red, green = views(harness, ("Red", "Green"))
    assert red.GetOrientation() == green.GetOrientation() == "Coronal"
    harness.click(ui.leaveButton)
    assert not any(one.GetText(captions[0].UpperEdge) for one in captions)
    assert state(harness) == before


@pytest.mark.parametrize("curvesFirst", [False, True])
def test_slicer_that_is_closed_while_comparing_keeps_the_users_own_layout(harness, panel, pair, ui, curvesFirst):
    slicer = harness.slicer
    slicer.util.mainWindow().show()
    harness.settle()
    before = state(harness)
    curves = panel.sections["Train"].ui.curvesBox
    curves.checked = curvesFirst
    harness.click(ui.compareButton)
    curves.checked = True
    slicer.util.mainWindow().close()
    assert slicer.app.settings().value("MainWindow/layout") == before["layout"]
    assert state(harness) == before
    assert not panel.sections["Compare"].comparison.isShown
    slicer.util.selectModule("CTSliceSynthesis")


@pytest.mark.parametrize("view", [SIDE_BY_SIDE, IN_TURN, DIFFERENCE, RENDERING])
@pytest.mark.parametrize("suffix", ["mrml", "mrb"])
def test_a_scene_that_is_saved_while_comparing_opens_as_it_was_before(harness, pair, ui, tmp_path, view, suffix):
    slicer = harness.slicer
    for index, node in enumerate(exactly(slicer, "vtkMRMLScalarVolumeNode")):
        assert slicer.util.saveNode(node, str(tmp_path / f"{index}.nrrd"))
    before = state(harness)
    ui.viewBox.setCurrentIndex(view)
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    harness.click(ui.compareButton)
    harness.settle()
    path = tmp_path / f"scene.{suffix}"
    saved = slicer.mrmlScene.WriteToMRB(str(path)) if suffix == "mrb" else slicer.util.saveScene(str(path))
    assert saved
    harness.closeScene()
    if suffix == "mrb":
        assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    else:
        slicer.mrmlScene.SetURL(str(path))
        slicer.mrmlScene.Import()
    after = state(harness)
    for found in (before, after):
        del found["nodes"]  # storage nodes have come with the files
    assert after == before


def seen(harness):
    """Return what a reader sees; Slicer's logics add nodes when a scene has been loaded."""
    found = state(harness)
    del found["nodes"]
    return found


def test_a_scene_with_invalid_view_states_still_opens(harness, panel, pair, tmp_path):
    from CTSliceSynthesisLib.Views import SavedViews

    slicer, before = harness.slicer, seen(harness)
    for text in (
        "no JSON",
        "[]",
        '{"layout": 3}',
        json.dumps({"layout": 3, "nodes": [{"values": [["a", "Evil", 1]]}]}),
    ):
        SavedViews.moduleNode().SetAttribute(SavedViews.ATTRIBUTE, text)
        slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndImportEvent)
        assert SavedViews.moduleNode().GetAttribute(SavedViews.ATTRIBUTE) is None
        assert seen(harness) == before


def test_volume_rendering_shows_each_volume_in_its_own_view(harness, pair, ui):
    slicer = harness.slicer
    ui.viewBox.setCurrentIndex(RENDERING)
    harness.click(ui.compareButton)
    manager, logic = slicer.app.layoutManager(), slicer.modules.volumerendering.logic()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView
    for index, node in enumerate(pair):
        display, view = logic.GetFirstVolumeRenderingDisplayNode(node), manager.threeDWidget(index).mrmlViewNode()
        assert display.GetVisibility()
        assert display.GetViewNodeIDs() == (view.GetID(),)
        assert view.GetLinkedControl()
    assert not ui.slabBox.enabled


def test_an_existing_rendering_is_kept_and_hidden_again(harness, pair, ui):
    slicer = harness.slicer
    own = slicer.modules.volumerendering.logic().CreateDefaultVolumeRenderingNodes(pair[0])
    own.SetVisibility(False)
    ui.viewBox.setCurrentIndex(RENDERING)
    before = state(harness)
    harness.click(ui.compareButton)
    assert own.GetVisibility()
    harness.click(ui.leaveButton)
    assert state(harness) == before
    assert not own.GetVisibility()


def test_temporary_nodes_of_a_comparison_are_not_saved(harness, pair, ui, tmp_path):
    slicer = harness.slicer
    ui.viewBox.setCurrentIndex(DIFFERENCE)
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    harness.click(ui.compareButton)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    saved = ElementTree.parse(tmp_path / "scene.mrml").getroot()
    assert {element.get("name") for element in saved.iter("Volume")} == {
        "scan", "scan x4 cubic", "expectedError", "disagreement",
    }  # fmt: skip
    assert not list(saved.iter("ColorLegendDisplay"))
    assert "CT Slice Synthesis doubt" not in {element.get("name") for element in saved.iter("ColorTable")}
