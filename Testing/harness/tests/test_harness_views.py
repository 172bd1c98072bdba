"""The harness's views, its own modules and its sample data do what Slicer's do, and refuse what those would refuse."""

from __future__ import annotations

import numpy as np
import pytest
import slicer_harness
import vtk


@pytest.fixture(scope="module")
def application():
    return slicer_harness.start()


@pytest.fixture
def harness(application):
    application.closeScene()
    application.errors.clear()
    application.slicer.app.openMainWindow()
    yield application
    application.slicer.app.closeMainWindow()
    assert not application.errors


@pytest.fixture
def slicer(harness):
    return harness.slicer


@pytest.fixture
def volume(slicer):
    node = slicer.util.addVolumeFromArray((np.indices((20, 30, 40)).sum(0) * 10).astype(np.int16))
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(900, 450)
    return node


def red(slicer):
    return slicer.app.layoutManager().sliceWidget("Red")


def test_a_layout_that_the_harness_does_not_have_is_refused(slicer):
    with pytest.raises(ValueError, match="no layout 999"):
        slicer.app.layoutManager().setLayout(999)


def test_the_layout_manager_tells_of_a_new_layout_by_signature(slicer):
    manager, told = slicer.app.layoutManager(), []
    manager.connect("layoutChanged(int)", told.append)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
    assert told == [slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView]
    with pytest.raises(KeyError):
        manager.connect("layoutChanged", told.append)


def test_a_view_draws_its_volume_and_what_is_written_at_its_edges(slicer, volume):
    widget = red(slicer)
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    widget.sliceLogic().FitSliceToBackground()
    widget.resize(200, 150)
    plain = widget.picture()
    assert plain.max() > 100
    annotation = widget.sliceView().cornerAnnotation()
    annotation.SetText(vtk.vtkCornerAnnotation.UpperEdge, "acquired")
    changed = np.abs(widget.picture().astype(int) - plain).sum(-1) > 60
    rows = np.flatnonzero(changed.any(1))
    assert rows.size
    assert rows.max() < 50  # at the upper edge, and nowhere else


def test_a_colour_legend_is_drawn_for_the_volume_of_a_view(slicer, volume):
    widget = red(slicer)
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    widget.sliceLogic().FitSliceToBackground()
    widget.resize(300, 200)
    before = widget.picture()
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(volume)
    assert legend.GetTitleText() == volume.GetName()
    assert np.any(widget.picture() != before)
    slicer.mrmlScene.RemoveNode(legend)
    assert np.array_equal(widget.picture(), before)


def test_a_volume_is_rendered_in_the_3d_view_that_it_is_meant_for(slicer, volume):
    display = slicer.modules.volumerendering.logic().CreateDefaultVolumeRenderingNodes(volume)
    views = [slicer.app.layoutManager().threeDWidget(index) for index in range(2)]
    assert slicer.app.layoutManager().threeDWidget(2) is None
    display.RemoveAllViewNodeIDs()
    display.AddViewNodeID(views[1].mrmlViewNode().GetID())
    display.SetVisibility(True)
    for view in views:
        view.threeDView().resetFocalPoint()
    spread = [int(np.ptp(view.picture(120, 120)[..., 0])) for view in views]
    assert spread[1] > spread[0]


def test_a_scene_bundle_can_be_written_and_read(slicer, volume, tmp_path):
    volume.SetName("kept")
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    assert slicer.util.arrayFromVolume(slicer.util.getNode("kept")).shape == (20, 30, 40)


def test_sample_data_comes_from_this_machine_and_is_checked(slicer, volume, tmp_path):
    import SampleData

    path = tmp_path / "scan.nrrd"
    assert slicer.util.saveNode(volume, str(path))
    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    sources = {
        "good": (path.as_uri(), None),
        "wrong": (path.as_uri(), "SHA256:0"),
        "far": ("https://far.org/a.nrrd", None),
    }
    for name, (uri, checksum) in sources.items():
        checksum = checksum or slicer_harness.sample_data.digest(path)
        register("Tests", name, uri, f"{name}.nrrd", f"loaded {name}", checksums=checksum)
    try:
        node = SampleData.downloadSample("good")
        assert node.GetName() == "loaded good"
        assert node.GetStorageNode() is None
        with pytest.raises(ValueError, match="Checksum"):
            SampleData.downloadSample("wrong")
        with pytest.raises(ValueError, match="this machine only"):
            SampleData.downloadSample("far")
        with pytest.raises(ValueError, match="same length"):
            register("Tests", "half", None, "half.nrrd", "half")
        with pytest.raises(IndexError):
            SampleData.downloadSample("nonesuch")
    finally:
        del slicer.modules.sampleDataSources["Tests"]


def test_each_binding_of_a_parameter_node_is_let_go_of_by_its_own_tag(harness):
    slicer, qt = harness.slicer, harness.qt

    class Parameters:
        first: float = 1.0
        second: float = 2.0

    Parameters.__annotations__ |= {"first": float, "second": float}
    node = slicer.parameterNodeWrapper.parameterNodeWrapper(Parameters)(slicer.vtkMRMLScriptedModuleNode())
    boxes = [qt.QDoubleSpinBox() for _ in range(3)]
    tags = [node.connectParametersToGui({"first": boxes[0]}), node.connectParametersToGui({"second": boxes[1]})]
    node.disconnectGui(tags[0])
    tags.append(node.connectParametersToGui({"first": boxes[2]}))
    assert len(set(tags)) == 3
    node.disconnectGui(tags[1])
    node.first, node.second = 5.0, 6.0
    assert [box.value for box in boxes] == [1.0, 2.0, 5.0]
