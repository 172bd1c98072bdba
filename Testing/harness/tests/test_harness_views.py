"""The harness's views, modules and sample data behave like Slicer's, and refuse what those would refuse."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_layout_manager_signals_a_new_layout(slicer):
    manager, told = slicer.app.layoutManager(), []
    manager.connect("layoutChanged(int)", told.append)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
    assert told == [slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView]
    with pytest.raises(KeyError):
        manager.connect("layoutChanged", told.append)


def test_a_view_draws_its_volume_and_annotations(slicer, volume):
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


def test_a_color_legend_is_drawn_for_the_volume_of_a_view(slicer, volume):
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


def test_a_volume_is_rendered_in_its_3d_view(slicer, volume):
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


def test_sample_data_is_local_and_verified(slicer, volume, tmp_path):
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


def test_each_binding_of_a_parameter_node_is_released_by_its_tag(harness):
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


def test_views_are_resized_after_a_layout_change_and_keep_their_vertical_scale(harness, slicer):
    manager, layouts = slicer.app.layoutManager(), slicer.vtkMRMLLayoutNode
    manager.resizeArea(1000, 600)
    manager.setLayout(layouts.SlicerLayoutSideBySideView)
    harness.settle()
    node = red(slicer).mrmlSliceNode()
    before, high = node.GetDimensions()[:2], node.GetFieldOfView()[1]
    manager.setLayout(layouts.SlicerLayoutOneUpRedSliceView)
    slicer.app.processEvents()
    assert node.GetDimensions()[:2] == before and not manager.isSettled
    harness.settle()
    assert node.GetDimensions()[:2] == (998, before[1])
    assert node.GetFieldOfView()[1] == pytest.approx(high)


def test_no_module_is_selected_when_the_last_one_is_left_at_exit(harness, slicer):
    window, seen = slicer.util.mainWindow(), []

    class Widget(harness.qt.QWidget):
        """A module's widget that records the selected module when it is entered and left."""

        def enter(self):
            seen.append(slicer.util.selectedModule())

        def exit(self):
            seen.append(slicer.util.selectedModule())

    class Module:
        def __init__(self):
            self.widget = Widget()
            self.widget.setLayout(harness.qt.QVBoxLayout())

        def widgetRepresentation(self):
            return self.widget

    slicer.app.moduleManager().add("Mine", Module())
    slicer.util.selectModule("Mine")
    window.show()
    window.close()
    assert seen == ["Mine", ""]
    with pytest.raises(AttributeError):
        slicer.util.selectModule("NoSuchModule")


def test_warnings_of_vtk_and_mrml_are_captured(harness, slicer):
    harness.console.clear()
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).GetItemParent(0)
    (line,) = harness.console
    assert "Invalid item ID given" in line
    harness.console.clear()


def test_a_plot_of_one_point_gives_a_warning_and_one_of_two_is_drawn(harness, slicer):
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
    plot = slicer.app.layoutManager().plotWidget(0)
    empty = plot.picture(200, 150)
    for count in (1, 2):
        table = vtk.vtkTable()
        for name in ("x", "y"):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            for value in range(count):
                column.InsertNextValue(value)
            table.AddColumn(column)
        node.SetAndObserveTable(table)
        series.SetAndObserveTableNodeID(node.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        harness.console.clear()
        plot.mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())
        drawn = plot.picture(200, 150)
        assert any("<2 points" in line for line in harness.console) == (count == 1)
    assert np.any(drawn != empty)
    harness.console.clear()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


@pytest.mark.parametrize(("code", "seen"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 1)])
def test_the_launcher_passes_on_an_exit_code_and_converts_a_signal(harness, code, seen):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == seen
    assert ("exit abnormally" in done.stderr) == (seen == 1)


def test_a_section_hides_what_is_added_or_shown_while_it_is_collapsed(harness):
    import ctk  # the harness's, which exists from its start on

    qt = harness.qt
    window = qt.QWidget()
    window.setLayout(qt.QVBoxLayout())
    section, early, late = ctk.ctkCollapsibleButton(), qt.QLabel("early"), qt.QLabel("late")
    window.layout().addWidget(section)
    section.collapsed = True
    section.setLayout(qt.QVBoxLayout())
    section.layout().addWidget(early)
    window.show()
    harness.settle()
    assert not early.isVisible()
    section.layout().addWidget(late)
    harness.settle()
    early.visible = True
    assert not early.isVisible() and not late.isVisible()
    late.visible = False
    section.collapsed = False
    harness.settle()
    assert early.isVisible() and not late.isVisible()
    section.collapsed = True
    section.collapsed = False
    assert early.isVisible() and not late.isVisible()
    window.hide()
