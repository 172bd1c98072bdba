"""Transfer of segmentations and label maps to a result, with names, colors and shared borders."""

import numpy as np
import pytest
import vtk


@pytest.fixture
def segmented(harness, makeVolume):
    """A scan with a segmentation of two touching boxes and a third one over both, and its parent transform."""
    slicer = harness.slicer
    scan = makeVolume(size=(24, 20, 6))
    shift = np.eye(4)
    shift[:3, 3] = (5.0, -3.0, 11.0)
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "table")
    slicer.util.updateTransformMatrixFromArray(parent, shift)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    for item in (scan, node):
        item.SetAndObserveTransformNodeID(parent.GetID())
    fill(slicer, node, scan, shapes())
    return scan, node


def shapes():
    """Name -> mask (k, j, i): the border between left and right moves from slice to slice, and over overlaps both."""
    left, right, over = (np.zeros((6, 20, 24), np.uint8) for _ in range(3))
    for k in range(1, 5):
        left[k, 5:15, 4 : 8 + k], right[k, 5:15, 8 + k : 20] = 1, 1
    over[2:4, 8:12, 6:18] = 1
    return {"left": left, "right": right, "over": over}


def fill(slicer, node, scan, masks):
    for number, (name, mask) in enumerate(masks.items()):
        node.GetSegmentation().AddEmptySegment(name, name.capitalize(), (0.1 * number, 0.5, 1.0))
        temporary, logic = labelMap(slicer, mask, scan), slicer.vtkSlicerSegmentationsModuleLogic
        logic.ImportLabelmapToSegmentationNode(temporary, node, one(name))
        slicer.mrmlScene.RemoveNode(temporary)


def labelMap(slicer, labels, scan):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    node.CopyOrientation(scan)
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetAndObserveTransformNodeID(scan.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    return node


def voxels(node, name, volume):
    import slicer

    temporary = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "exported")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
        node, one(name), temporary, volume, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    inside = slicer.util.arrayFromVolume(temporary) > 0
    slicer.mrmlScene.RemoveNode(temporary)
    return inside


def one(identifier):
    array = vtk.vtkStringArray()
    array.InsertNextValue(identifier)
    return array


def test_segments_keep_names_colors_and_shared_borders(harness, logic, segmented):
    scan, node = segmented
    thin = logic.increaseResolution(scan, factor=4, method="linear")
    (copy,) = logic.transferSegmentations(thin)
    segmentation = copy.GetSegmentation()
    assert copy.GetName() == "organs on scan x4 linear"
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert sorted(names) == ["Left", "Over", "Right"]
    for name, mask in shapes().items():
        old, new = node.GetSegmentation().GetSegment(name), segmentation.GetSegment(name)
        assert new.GetColor() == old.GetColor()
        found = voxels(copy, name, thin)
        assert found.shape == (21, 20, 24)
        assert np.array_equal(found[::4], mask > 0)  # acquired slices, bit for bit
    left, right, over = (voxels(copy, name, thin) for name in ("left", "right", "over"))
    assert not (left & right).any()
    assert (left | right)[4:17, 5:15, 4:20].all()  # no gap between them
    assert (over & (left | right)).sum() == over.sum() > 0
    assert copy.GetTransformNodeID() == scan.GetTransformNodeID()


def test_originals_are_unchanged_and_nothing_else_is_left_over(harness, logic, segmented):
    slicer = harness.slicer
    scan, node = segmented
    thin = logic.increaseResolution(scan, factor=2, method="linear")
    before = {n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLVolumeNode")}
    (copy,) = logic.transferSegmentations(thin)
    assert {n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLVolumeNode")} == before
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [node, copy]
    for name, mask in shapes().items():
        assert np.array_equal(voxels(node, name, scan), mask > 0)


def test_label_maps_are_transferred_with_colors_also_at_an_exact_spacing(harness, logic, segmented):
    slicer = harness.slicer
    scan, node = segmented
    slicer.mrmlScene.RemoveNode(node)
    labels = labelMap(slicer, shapes()["left"].astype(np.int16) * 7, scan)
    thin = logic.increaseResolution(scan, spacing=2.0, exact=True, method="linear")
    (copy,) = logic.transferSegmentations(thin)
    found = slicer.util.arrayFromVolume(copy)
    assert found.shape == slicer.util.arrayFromVolume(thin).shape == (13, 20, 24)
    assert found.dtype == np.int16
    assert set(np.unique(found)) == {0, 7}
    assert np.array_equal(found[[0, 5, 10]], slicer.util.arrayFromVolume(labels)[[0, 2, 4]])
    assert copy.GetDisplayNode().GetColorNodeID() == labels.GetDisplayNode().GetColorNodeID()


def test_segmentations_of_other_scans_are_not_transferred(harness, logic, segmented, makeVolume):
    slicer = harness.slicer
    scan, node = segmented
    thin = logic.increaseResolution(scan, factor=2, method="linear")
    other = makeVolume(size=(24, 20, 6), origin=(0.0, 0.0, 200.0), name="another patient")
    node.SetReferenceImageGeometryParameterFromVolumeNode(other)
    with pytest.raises(RuntimeError, match="was drawn on “scan”: those of other scans do not fit"):
        logic.transferSegmentations(thin)
    with pytest.raises(RuntimeError, match="choose one, neither cropped nor resampled"):
        logic.transferSegmentations(other)
    slicer.mrmlScene.RemoveNode(scan)
    with pytest.raises(RuntimeError, match="The scan of “scan x2 linear” is not in the scene"):
        logic.transferSegmentations(thin)


def test_one_click_transfers_them_and_markups_are_unchanged(harness, panel, segmented):
    slicer = harness.slicer
    scan, _ = segmented
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks")
    markups.AddControlPointWorld((1.0, 2.0, 3.0))
    ui = panel.ui
    panel._parameters.inputVolume = scan
    panel._parameters.method = "linear"
    assert ui.transferButton.isHidden()
    ui.runButton.click()
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert not ui.transferButton.isHidden()
    ui.transferButton.click()
    assert ui.transferButton.text == "Cancel the transfer"
    harness.wait(lambda: not panel.logic.transfer.isRunning)
    assert ui.transferButton.text == "Transfer segmentations to the result"
    assert "Transferred to the result: “organs on scan x2 linear”." in ui.messageLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2
    point = [0.0] * 3
    markups.GetNthControlPointPositionWorld(0, point)
    assert point == [1.0, 2.0, 3.0]


def test_the_panel_offers_an_exact_spacing_and_labels_acquired_slices(harness, panel, makeVolume):
    from CTSliceSynthesisLib.Scene import Origin

    ui = panel.ui
    panel._parameters.inputVolume = makeVolume(size=(24, 20, 6))
    panel._parameters.method = "linear"
    assert ui.exactSpacingBox.isHidden()
    ui.resolutionBox.setCurrentIndex(ui.resolutionBox.count - 1)
    assert not ui.exactSpacingBox.isHidden()
    panel._parameters.exactSpacing = 2.0
    assert "3 of the 13 slices coincide with acquired ones and are copied (1, 6, 11)" in ui.planLabel.text
    ui.runButton.click()
    harness.wait(lambda: not panel.logic.session.isRunning)
    (thin,) = [
        node for node in harness.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "2 mm" in node.GetName()
    ]
    stack = Origin.stackOf(thin)
    assert [stack.place(n) for n in (0, 5, 10)] == [0, 2, 4]
    assert stack.place(4) == pytest.approx(1.6)
    panel._parameters.exactSpacing = 6.0
    assert "not 6 mm" in ui.planLabel.text
    assert not ui.runButton.enabled
    panel._parameters.resolution = "2"


@pytest.fixture
def thin(logic, segmented):
    return logic.increaseResolution(segmented[0], factor=4, method="linear")


def test_a_label_map_that_cannot_be_transferred_is_named_and_nothing_is_added(harness, logic, segmented, thin):
    slicer, (scan, node) = harness.slicer, segmented
    labelMap(slicer, np.arange(6 * 20 * 24, dtype=np.int16).reshape(6, 20, 24), scan)
    with pytest.raises(RuntimeError, match=r"at most 1000 different numbers.*“labels”.* holds 2880") as caught:
        logic.transferSegmentations(thin)
    assert ".nrrd" not in str(caught.value).partition("\n")[0]
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [node]


def drawnNodes(harness):
    """All nodes that a transfer could leave behind."""
    kinds = ("vtkMRMLSegmentationNode", "vtkMRMLVolumeNode", "vtkMRMLDisplayNode", "vtkMRMLStorageNode")
    return [node for kind in kinds for node in harness.slicer.util.getNodesByClass(kind)]


def test_a_canceled_transfer_leaves_nothing(harness, panel, segmented):
    panel._parameters.inputVolume, _ = segmented
    panel._parameters.method = "linear"
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    harness.settle()
    before = drawnNodes(harness)
    harness.click(panel.ui.transferButton)
    assert panel.ui.messageLabel.text.startswith("Segmentations are being transferred")
    harness.click(panel.ui.transferButton)
    assert panel.ui.messageLabel.text == "The transfer was canceled."
    assert not panel.logic.transfer.isRunning
    assert drawnNodes(harness) == before


def test_the_copy_shows_the_segmentation_as_it_was_when_the_transfer_began(harness, logic, segmented, thin):
    slicer, (_, node) = harness.slicer, segmented
    outcomes, progress = [], []
    logic.transferSegmentations(thin, waitForCompletion=False, onProgress=progress.append, onFinished=outcomes.append)
    with pytest.raises(RuntimeError, match="Another transfer is in progress"):
        logic.transferSegmentations(thin)
    slicer.mrmlScene.RemoveNode(node)
    harness.wait(lambda: outcomes)
    (copy,) = outcomes[0].output
    assert copy.GetName() == "organs on scan x4 linear"
    assert voxels(copy, "left", thin)[4].sum() == shapes()["left"][1].sum()
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_a_transfer_to_a_volume_that_is_removed_or_in_a_scene_that_is_closed_ends(harness, logic, segmented, thin):
    slicer, outcomes = harness.slicer, []
    logic.transferSegmentations(thin, waitForCompletion=False, onFinished=outcomes.append)
    slicer.mrmlScene.RemoveNode(thin)
    harness.wait(lambda: outcomes)
    assert outcomes[0].sentence == "“scan x4 linear” was removed, so nothing was transferred to it."
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [segmented[1]]
    again = logic.increaseResolution(segmented[0], factor=2, method="linear")
    logic.transferSegmentations(again, waitForCompletion=False, onFinished=outcomes.append)
    harness.closeScene()
    assert outcomes[1].sentence == "The scene was closed, which ended the transfer."
    assert not logic.transfer.isRunning
