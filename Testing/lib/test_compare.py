"""Comparison in the views: what is shown, and that everything is restored."""

import numpy as np
import pytest
from test_panel_run import choose, finish

COMPOSITE = (
    "BackgroundVolumeID",
    "ForegroundVolumeID",
    "LabelVolumeID",
    "ForegroundOpacity",
    "LinkedControl",
    "HotLinkedControl",
)
SLICE = (
    "Orientation", "SlabReconstructionEnabled", "SlabReconstructionType", "SlabReconstructionThickness", "Dimensions",
    "XYZOrigin",
)  # fmt: skip
DISPLAY = (
    "Interpolate", "Window", "Level", "AutoWindowLevel", "ColorNodeID", "ApplyThreshold", "LowerThreshold", "UpperThreshold",
)  # fmt: skip
SIDE_BY_SIDE, IN_TURN, DIFFERENCE, RENDERING = range(4)
NO_OVERLAY, EXPECTED_ERROR, DISAGREEMENT = range(3)


def values(node, names):
    return {name: getattr(node, f"Get{name}")() for name in names}


def exactly(slicer, kind):
    """Return the nodes of a class, without those of derived classes."""
    return [node for node in slicer.util.getNodesByClass(kind) if node.GetClassName() == kind]


def state(harness):
    """Return everything that a comparison could change: layout, views, displays, and the existing nodes."""
    harness.settle()
    slicer = harness.slicer
    manager = slicer.app.layoutManager()
    found = {"layout": manager.layout}
    for name in manager.sliceViewNames():
        widget = manager.sliceWidget(name)
        found[name] = values(widget.mrmlSliceCompositeNode(), COMPOSITE), values(widget.mrmlSliceNode(), SLICE)
        found[f"{name} plane"] = slicer.util.arrayFromVTKMatrix(widget.mrmlSliceNode().GetSliceToRAS()).tolist()
        found[f"{name} size"] = np.round(widget.mrmlSliceNode().GetFieldOfView()[:2], 6).tolist()
    for index in range(2):
        found[f"3D {index}"] = manager.threeDWidget(index).mrmlViewNode().GetLinkedControl()
    for node in exactly(slicer, "vtkMRMLScalarVolumeNode"):
        found[node.GetName()] = values(node.GetDisplayNode(), DISPLAY), node.GetNumberOfDisplayNodes()
    nodes = [slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes())]
    of_views = ("Camera", "PlotView")  # each view has one, once it was shown
    found["nodes"] = sorted(identity for identity in nodes if not any(word in identity for word in of_views))
    return found


@pytest.fixture
def ui(panel):
    return panel.sections["Compare"].ui


def composite(harness, name):
    return harness.slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()


def test_selecting_a_result_selects_its_scan(panel, pair, ui):
    assert panel._parameters.beforeVolume is pair[0]
    assert ui.beforeSelector.currentNode() is pair[0]
    assert ui.compareButton.enabled
    assert not ui.leaveButton.enabled


def test_selecting_another_result_selects_its_scan_and_can_be_shown_at_once(
    harness, panel, logic, pair, ui, makeVolume
):
    harness.click(ui.compareButton)
    assert not ui.compareButton.enabled
    other = makeVolume(name="other")
    thin = logic.increaseResolution(other, factor=2, method="linear")
    panel._parameters.afterVolume = thin
    assert panel._parameters.beforeVolume is other
    assert composite(harness, "Yellow").GetBackgroundVolumeID() == pair[1].GetID()
    harness.click(ui.compareButton)
    assert composite(harness, "Yellow").GetBackgroundVolumeID() == thin.GetID()
    assert composite(harness, "Red").GetBackgroundVolumeID() == other.GetID()


def test_volumes_that_were_loaded_without_being_shown_can_be_compared(harness, panel, ui, makeVolume):
    volumes = [makeVolume(name=name) for name in ("one", "two")]
    for node in volumes:
        harness.slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
    panel._parameters.beforeVolume, panel._parameters.afterVolume = volumes
    ui.compareSection.collapsed = False
    ui.uninterpolatedBox.checked = True
    harness.click(ui.compareButton)
    assert composite(harness, "Red").GetBackgroundVolumeID() == volumes[0].GetID()
    harness.click(ui.leaveButton)
    ui.uninterpolatedBox.checked, ui.compareSection.collapsed = False, True


@pytest.mark.parametrize("view", [SIDE_BY_SIDE, IN_TURN, DIFFERENCE, RENDERING])
@pytest.mark.parametrize("overlay", [NO_OVERLAY, EXPECTED_ERROR])
def test_leaving_restores_everything(harness, pair, ui, view, overlay):
    before = state(harness)
    ui.viewBox.setCurrentIndex(view)
    ui.overlayBox.setCurrentIndex(overlay)
    ui.slabBox.value, ui.uninterpolatedBox.checked = 15, True
    assert state(harness) == before  # selecting alone shows nothing
    harness.click(ui.compareButton)
    assert state(harness) != before
    harness.click(ui.leaveButton)
    assert state(harness) == before


def test_switching_through_all_views_and_leaving_restores_everything(harness, pair, ui):
    before = state(harness)
    harness.click(ui.compareButton)
    for view in (DIFFERENCE, RENDERING, IN_TURN, SIDE_BY_SIDE):
        for overlay in (EXPECTED_ERROR, DISAGREEMENT, NO_OVERLAY):
            ui.viewBox.setCurrentIndex(view)
            ui.overlayBox.setCurrentIndex(overlay)
    harness.click(ui.leaveButton)
    assert state(harness) == before


def test_side_by_side_shows_both_linked_at_the_same_place(harness, pair, ui):
    slicer = harness.slicer
    harness.click(ui.compareButton)
    slicer.app.processEvents()
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    views = [composite(harness, name) for name in ("Red", "Yellow")]
    assert [view.GetBackgroundVolumeID() for view in views] == [node.GetID() for node in pair]
    assert all(view.GetLinkedControl() and view.GetHotLinkedControl() for view in views)
    nodes = [slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode() for name in ("Red", "Yellow")]
    assert nodes[0].GetOrientation() == nodes[1].GetOrientation() == "Coronal"
    assert nodes[0].GetFieldOfView()[:2] == nodes[1].GetFieldOfView()[:2]


def test_in_turn_shows_one_and_the_other_at_the_same_place(harness, pair, ui):
    ui.viewBox.setCurrentIndex(IN_TURN)
    assert not ui.turnButton.enabled
    harness.click(ui.compareButton)
    sliceNode = harness.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert composite(harness, "Red").GetBackgroundVolumeID() == pair[1].GetID()
    assert ui.turnButton.text == "Show before"
    harness.settle()
    sliceNode.SetSliceOffset(3.25)
    harness.click(ui.turnButton)
    assert composite(harness, "Red").GetBackgroundVolumeID() == pair[0].GetID()
    assert sliceNode.GetSliceOffset() == 3.25
    assert ui.turnButton.text == "Show after"
    harness.click(ui.turnButton)
    assert composite(harness, "Red").GetBackgroundVolumeID() == pair[1].GetID()


def test_the_difference_is_after_minus_before_interpolated_linearly(harness, pair, ui):
    slicer = harness.slicer
    ui.viewBox.setCurrentIndex(DIFFERENCE)
    assert "interpolated linearly" in ui.explanationLabel.text
    harness.click(ui.compareButton)
    node = slicer.mrmlScene.GetNodeByID(composite(harness, "Yellow").GetBackgroundVolumeID())
    thick, thin = (slicer.util.arrayFromVolume(volume).astype(float) for volume in pair)
    difference = slicer.util.arrayFromVolume(node)
    assert not difference[::4].any()
    for step in (1, 2, 3):
        linear = thick[:-1] + (thick[1:] - thick[:-1]) * step / 4
        assert np.abs(difference[step::4] - (thin[step::4] - linear)).max() <= 0.5 + 1e-4
    assert difference.any()
    assert node.GetDisplayNode().GetLevel() == 0


def test_a_result_with_an_exact_spacing_has_a_difference_too(harness, logic, makeVolume):
    from CTSliceSynthesisLib.Views import Difference

    slicer = harness.slicer
    before = makeVolume(size=(24, 20, 8))
    spacing = before.GetSpacing()[2] / 2.5
    after = logic.increaseResolution(before, spacing=spacing, exact=True, method="linear")
    node = Difference.make(before, after, "difference")
    difference = slicer.util.arrayFromVolume(node)
    assert len(difference) == slicer.util.arrayFromVolume(after).shape[0] > 8
    assert np.abs(difference).max() <= 1  # linear interpolation adds nothing to linear interpolation
    other = logic.increaseResolution(before, spacing=spacing, exact=True, method="bspline")
    assert np.abs(slicer.util.arrayFromVolume(Difference.make(before, other, "other"))).max() > 1


def test_volumes_that_do_not_lie_on_each_other_have_no_difference(harness, panel, pair, ui, makeVolume):
    panel._parameters.beforeVolume = makeVolume(size=(24, 20, 7), name="shorter")
    ui.viewBox.setCurrentIndex(DIFFERENCE)
    assert not ui.compareButton.enabled
    assert "was not made from the slices of “shorter”" in harness.tip(ui.compareButton)
    assert "was not made from" in ui.explanationLabel.text
    ui.viewBox.setCurrentIndex(SIDE_BY_SIDE)
    assert ui.compareButton.enabled


@pytest.mark.parametrize(
    ("overlay", "words"), [(EXPECTED_ERROR, "Expected error (HU)"), (DISAGREEMENT, "View disagreement (HU)")]
)
def test_an_overlay_lies_over_the_result_in_a_fixed_range_with_a_legend(harness, pair, ui, overlay, words):
    slicer = harness.slicer
    ui.overlayBox.setCurrentIndex(overlay)
    harness.click(ui.compareButton)
    doubt = slicer.mrmlScene.GetNodeByID(composite(harness, "Yellow").GetLabelVolumeID())
    kept = slicer.util.getNode(["expectedError", "disagreement"][overlay - 1])
    assert doubt.GetImageData() is kept.GetImageData()  # no copy of the voxels
    assert composite(harness, "Red").GetLabelVolumeID() is None  # the scan itself is not an estimate
    assert doubt.GetDisplayNode().GetScalarRange() == (0, 100)
    colours = doubt.GetDisplayNode().GetColorNode().GetLookupTable()
    opacities = [colours.GetTableValue(hu)[3] for hu in range(101)]
    assert opacities[:6] == [0] * 6  # where the error is small, the image itself is visible
    assert opacities == sorted(opacities) and opacities[30] < 0.3 and opacities[100] < 1
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert legend.GetTitleText() == words
    assert legend.GetViewNodeIDs() == (slicer.app.layoutManager().sliceWidget("Yellow").mrmlSliceNode().GetID(),)


def test_overlay_colors_get_brighter_with_the_error(harness):
    from CTSliceSynthesisLib.Views import ErrorOverlays

    brightness = [0.3 * red + 0.59 * green + 0.11 * blue for red, green, blue in ErrorOverlays.STOPS]
    assert brightness == sorted(brightness)


def test_a_result_without_the_overlay_says_how_to_get_it(harness, panel, pair, ui, logic):
    plain = logic.increaseResolution(pair[0], factor=2, method="cubic")
    panel._parameters.afterVolume = plain
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    assert "has no expected error: make it again with “Keep the expected error (HU)”" in ui.explanationLabel.text
    assert not ui.compareButton.enabled
    box = panel.ui.keepExpectedErrorBox
    assert box.text in ui.explanationLabel.text
    ui.overlayBox.setCurrentIndex(DISAGREEMENT)
    assert panel.ui.keepDisagreementBox.text in ui.explanationLabel.text


def test_an_option_that_cannot_be_shown_keeps_the_current_view(harness, panel, pair, ui):
    harness.click(ui.compareButton)
    harness.slicer.mrmlScene.RemoveNode(harness.slicer.util.getNode("expectedError"))
    shown = state(harness)
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    assert state(harness) == shown
    assert "has no expected error" in ui.explanationLabel.text


def test_uninterpolated_and_slab_are_shown_in_both(harness, pair, ui):
    slicer = harness.slicer
    harness.click(ui.compareButton)
    ui.uninterpolatedBox.checked = True
    ui.slabBox.value = 12
    assert [node.GetDisplayNode().GetInterpolate() for node in pair] == [0, 0]
    for name in ("Red", "Yellow"):
        view = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        assert (view.GetSlabReconstructionEnabled(), view.GetSlabReconstructionThickness()) == (True, 12)
        assert view.GetSlabReconstructionTypeAsString(view.GetSlabReconstructionType()) == "Max"
    ui.slabBox.value = 0
    assert not slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSlabReconstructionEnabled()


def test_a_layout_that_the_user_has_chosen_since_is_kept(harness, pair, ui):
    slicer = harness.slicer
    harness.click(ui.compareButton)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    harness.click(ui.leaveButton)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


@pytest.mark.parametrize("which", [0, 1])
def test_removing_a_compared_volume_leaves_the_comparison(harness, pair, ui, which):
    slicer = harness.slicer
    ui.viewBox.setCurrentIndex(DIFFERENCE)
    layout = slicer.app.layoutManager().layout
    harness.click(ui.compareButton)
    slicer.mrmlScene.RemoveNode(pair[which])
    assert slicer.app.layoutManager().layout == layout
    assert not [n.GetName() for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if " minus " in n.GetName()]
    assert not ui.leaveButton.enabled
    assert composite(harness, "Red").GetForegroundVolumeID() == (None if which == 0 else pair[0].GetID())


def test_closing_the_scene_leaves_the_comparison(harness, panel, pair, ui):
    slicer = harness.slicer
    layout = slicer.app.layoutManager().layout
    ui.viewBox.setCurrentIndex(DIFFERENCE)
    ui.overlayBox.setCurrentIndex(EXPECTED_ERROR)
    harness.click(ui.compareButton)
    harness.closeScene()
    assert slicer.app.layoutManager().layout == layout
    assert not panel.sections["Compare"].comparison.isShown
    assert not slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert ui.explanationLabel.text == "Choose the volumes before and after."


def test_the_comparison_stays_while_another_module_is_shown(harness, panel, pair, ui):
    harness.click(ui.compareButton)
    shown = state(harness)
    harness.slicer.util.selectModule("Data")
    assert state(harness) == shown
    harness.slicer.util.selectModule("CTSliceSynthesis")
    assert ui.leaveButton.enabled


def test_reloading_the_module_leaves_the_comparison(harness, panel, pair, ui):
    before = state(harness)
    harness.click(ui.compareButton)
    panel.onReload()
    assert state(harness) == before


def test_a_run_shows_its_result_and_leaving_restores_the_views(harness, panel, ui, makeVolume):
    slicer = harness.slicer
    node = makeVolume()
    layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    slicer.app.layoutManager().setLayout(layout)
    choose(panel, node, method="cubic", resolution="3")
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    thin = slicer.util.getNode("scan x3 cubic")
    assert (panel._parameters.beforeVolume, panel._parameters.afterVolume) == (node, thin)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    ui.compareSection.collapsed = False
    harness.click(ui.leaveButton)
    ui.compareSection.collapsed = True
    assert slicer.app.layoutManager().layout == layout


def test_without_a_main_window_nothing_is_shown(harness, pair, monkeypatch):
    from CTSliceSynthesisLib.Views.Comparison import Comparison

    before = state(harness)
    monkeypatch.setattr(type(harness.slicer.app), "layoutManager", lambda self: None)
    comparison = Comparison()
    comparison.show(*pair)
    assert not comparison.isShown
    comparison.leave()
    monkeypatch.undo()
    assert state(harness) == before
