"""Geometry of results on real MRML nodes, checked by patient positions of individual voxels."""

import numpy as np
import pytest

COS, SIN = np.cos(0.35), np.sin(0.35)
STACKS = {
    "straight": np.eye(3),
    "oblique": np.array([[COS, -SIN, 0], [SIN * COS, COS * COS, -SIN], [SIN * SIN, COS * SIN, COS]]),
    "left-handed": np.diag([-1.0, 1.0, 1.0]),
    "head first": np.diag([-1.0, -1.0, -1.0]),
    "sheared by a tilted gantry": np.array([[1.0, 0, 0], [0, 1, SIN], [0, 0, COS]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


def world(node, ijk):
    """Return the RAS position of a voxel, from the node's matrix and its parent transforms."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    local = matrix.MultiplyPoint((*map(float, ijk), 1.0))[:3]
    general = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, general)
    return np.array(general.TransformPoint(local))


def checkPlaces(thick, thin, factor, axis=2):
    """Acquired slices keep their positions and voxels; new ones are evenly spaced between them."""
    import slicer

    before, after = slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)
    step = np.eye(3)[axis]
    corners = [np.array(corner) for corner in np.ndindex(*[2, 2, 2])] * (np.array(before.shape[::-1]) - 1)
    for corner in corners:
        fine = corner * (1 + (factor - 1) * step)
        assert np.abs(world(thin, fine) - world(thick, corner)).max() < 1e-6
    assert np.array_equal(np.moveaxis(after, 2 - axis, 0)[::factor], np.moveaxis(before, 2 - axis, 0))
    part = (world(thick, step) - world(thick, 0 * step)) / factor
    assert np.abs(world(thin, step) - world(thin, 0 * step) - part).max() < 1e-6


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_every_kind_keep_their_position(logic, makeVolume, name):
    thick = makeVolume(directions=STACKS[name])
    thin = logic.increaseResolution(thick, factor=3, method="cubic")
    checkPlaces(thick, thin, 3)


@pytest.mark.parametrize("name", STACKS)
def test_the_engine_reads_written_volumes_with_identical_voxels_and_geometry(makeVolume, tmp_path, name):
    import slicer
    from CTSliceSynthesisEngine.volume import files
    from CTSliceSynthesisLib.Scene import VolumeNodes

    node = makeVolume(directions=STACKS[name])
    VolumeNodes.writeForChild(node, tmp_path / "thick.nrrd")
    read = files.read(tmp_path / "thick.nrrd")
    assert np.array_equal(read.voxels, slicer.util.arrayFromVolume(node))
    assert read.voxels.dtype == np.int16
    for ijk in ((0, 0, 0), (23, 0, 7), (5, 19, 3)):
        assert np.abs(read.grid.ras(ijk) - world(node, ijk)).max() < 1e-9


def test_a_result_with_another_geometry_is_refused(makeVolume, tmp_path):
    from dataclasses import replace

    from CTSliceSynthesisEngine.errors import SynthesisError
    from CTSliceSynthesisLib.Scene import VolumeNodes

    node = makeVolume(directions=STACKS["sheared by a tilted gantry"])
    grid, kind = VolumeNodes.gridOf(node), node.GetImageData().GetScalarType()
    VolumeNodes.writeForChild(node, tmp_path / "thin.nrrd")
    assert VolumeNodes.readResult(tmp_path / "thin.nrrd", grid, kind).GetNumberOfPoints() == 24 * 20 * 8
    straight = replace(grid, matrix=np.diag([0.7, 0.8, 5.0, 1.0]))
    with pytest.raises(SynthesisError, match="does not lie"):
        VolumeNodes.readResult(tmp_path / "thin.nrrd", straight, kind)


def test_slices_along_the_first_axis(logic, makeVolume):
    thick = makeVolume(size=(8, 20, 24), spacing=(5.0, 0.8, 0.7))
    checkPlaces(thick, logic.increaseResolution(thick, factor=2, method="cubic"), 2, axis=0)


def test_the_slice_axis_can_be_given(logic, makeVolume):
    thick = makeVolume(size=(16, 9, 12), spacing=(0.7, 5.0, 2.0))
    thick.SetAttribute("DICOM.instanceUIDs", "1.2.3")  # DICOM stacks along k, which would be wrong here
    with pytest.raises(RuntimeError, match="already as close as the pixels"):
        logic.increaseResolution(thick, factor=2, method="cubic")
    checkPlaces(thick, logic.increaseResolution(thick, factor=2, method="cubic", sliceAxis=1), 2, axis=1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_every_voxel_type_is_preserved_exactly(logic, makeVolume, dtype):
    import slicer

    thick = makeVolume(dtype=dtype)
    thin = logic.increaseResolution(thick, factor=2, method="linear")
    before, after = slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)
    assert after.dtype == before.dtype
    assert after[::2].tobytes() == before.tobytes()
    assert thin.GetImageData().GetScalarType() == thick.GetImageData().GetScalarType()


def test_a_linear_parent_transform_moves_the_result_as_it_moves_the_input(harness, logic, makeVolume):
    thick, tilt = makeVolume(), np.eye(4)
    tilt[:3, 3], tilt[1, 2] = (5, 6, 7), 0.25  # a shear, as Slicer corrects gantry tilt
    parent = harness.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    harness.slicer.util.updateTransformMatrixFromArray(parent, tilt)
    thick.SetAndObserveTransformNodeID(parent.GetID())
    thin = logic.increaseResolution(thick, factor=2, method="cubic")
    assert thin.GetParentTransformNode() is parent
    checkPlaces(thick, thin, 2)
    tilt[0, 3] = 50  # and also after a later change
    harness.slicer.util.updateTransformMatrixFromArray(parent, tilt)
    checkPlaces(thick, thin, 2)


def gridTransform(harness, stretch):
    """A transform node that moves points along S by `stretch` times a wave, as for uneven slices."""
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(5, 5, 20)
    image.SetSpacing(10, 10, 4)
    image.SetOrigin(-20, 10, -40)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    field = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(20, 5, 5, 3)
    field[:] = 0
    field[..., 2] = (stretch * np.sin(np.arange(20) / 3))[:, None, None]
    transform = vtk.vtkGridTransform()
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToCubic()
    node = harness.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "uneven slices")
    node.SetAndObserveTransformToParent(transform)
    return node


def test_uneven_slices_are_explained_and_an_evenly_spaced_copy_is_offered(harness, panel, makeVolume):
    slicer = harness.slicer
    thick = makeVolume()
    voxels = slicer.util.arrayFromVolume(thick).copy()
    panel._parameters.inputVolume, panel._parameters.method = thick, "cubic"
    assert panel.ui.evenlySpacedButton.isHidden()
    thick.SetAndObserveTransformNodeID(gridTransform(harness, 2.0).GetID())
    assert not panel.ui.runButton.enabled
    assert "not evenly spaced" in panel.ui.planLabel.text
    assert harness.tip(panel.ui.runButton) == panel.ui.planLabel.text
    harness.click(panel.ui.evenlySpacedButton)
    copy = panel._parameters.inputVolume
    assert copy is not thick
    assert copy.GetName() == "scan evenly spaced"
    assert copy.GetParentTransformNode() is None
    assert np.array_equal(slicer.util.arrayFromVolume(thick), voxels)  # the scan itself is unchanged
    assert not np.array_equal(slicer.util.arrayFromVolume(copy), voxels)
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    checkPlaces(copy, slicer.util.getNode("scan evenly spaced x2 cubic"), 2)


def test_a_script_gets_the_message_about_uneven_slices(harness, logic, makeVolume):
    thick = makeVolume()
    thick.SetAndObserveTransformNodeID(gridTransform(harness, 2.0).GetID())
    with pytest.raises(RuntimeError, match="non-linear transform"):
        logic.increaseResolution(thick, factor=2)


def test_the_result_has_the_display_and_the_study_of_the_input(harness, logic, makeVolume):
    slicer = harness.slicer
    thick = makeVolume()
    display = thick.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(1500, -600)
    display.SetInterpolate(False)
    colours = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "mine")
    display.SetAndObserveColorNodeID(colours.GetID())
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    thick.SetVoxelValueUnits(units)
    thick.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(thick), study)
    thin = logic.increaseResolution(thick, factor=2, method="cubic")
    shown = thin.GetDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel(), shown.GetAutoWindowLevel()) == (1500, -600, 0)
    assert shown.GetColorNodeID() == colours.GetID()
    assert not shown.GetInterpolate()
    assert thin.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"
    assert thin.GetAttribute("DICOM.instanceUIDs") is None
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(thin)) == study
