"""The harness refuses what PythonQt or Slicer would refuse, and does what they do."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import pytest
import slicer_harness

UI = """<?xml version="1.0"?>
<ui version="4.0"><class>Panel</class>
<widget class="{root}" name="Panel">
<layout class="QVBoxLayout" name="layout"><item><widget class="{child}" name="child">{properties}</widget></item></layout>
</widget>
<connections>{connections}</connections></ui>"""


@pytest.fixture(scope="module")
def application():
    return slicer_harness.start()


@pytest.fixture
def harness(application):
    application.closeScene()
    application.errors.clear()
    yield application
    assert not application.errors


@pytest.fixture
def qt(harness):
    return harness.qt


def test_a_property_is_read_and_written_as_an_attribute(qt):
    button = qt.QPushButton("Go")
    button.text = "Stop"
    button.enabled = False
    assert (button.text, button.enabled, button.isEnabled()) == ("Stop", False, False)
    button.name = "stopButton"
    assert button.objectName == "stopButton"


def test_a_property_called_as_a_method_is_refused(qt):
    with pytest.raises(TypeError, match="not callable"):
        qt.QPushButton("Go").text()


@pytest.mark.parametrize("value", [None, 3, ["Go"]])
def test_a_property_of_another_type_is_refused(qt, value):
    with pytest.raises(TypeError):
        qt.QPushButton().text = value


def test_an_unknown_attribute_is_refused_for_reading_and_writing(qt):
    with pytest.raises(AttributeError, match="colour"):
        qt.QPushButton().colour = "red"
    with pytest.raises(AttributeError, match="colour"):
        _ = qt.QPushButton().colour


def test_a_function_cannot_be_replaced(qt):
    with pytest.raises(AttributeError, match="setText"):
        qt.QPushButton().setText = "Go"


def test_a_python_subclass_of_a_qt_class_may_have_its_own_attributes(qt):
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.own = 3

    assert Panel().own == 3


def test_a_dynamic_property_is_an_attribute_once_it_is_set(qt):
    label = qt.QLabel()
    with pytest.raises(AttributeError):
        _ = label.SlicerParameterName
    label.setProperty("SlicerParameterName", "factor")
    assert label.SlicerParameterName == "factor"


def test_signals_are_connected_by_signature_and_unknown_ones_are_refused(qt):
    button, told = qt.QPushButton(), []
    note = told.append
    button.connect("clicked(bool)", note)
    button.connect("clicked()", lambda: told.append("plain"))
    button.click()
    assert told == [False, "plain"]
    button.disconnect("clicked(bool)", note)
    button.click()
    assert told == [False, "plain", "plain"]
    for signal in ("clickd()", "clicked(QString)", "clicked"):
        with pytest.raises(ValueError, match="signa"):
            button.connect(signal, note)
    with pytest.raises(ValueError, match="not connected"):
        button.disconnect("clicked(bool)", note)


def loaded(harness, tmp_path, root="QWidget", child="QPushButton", properties="", connections=""):
    path = tmp_path / "panel.ui"
    path.write_text(UI.format(root=root, child=child, properties=properties, connections=connections))
    return harness.slicer.util.loadUI(str(path))


def test_a_ui_file_gives_its_widgets_by_name(harness, tmp_path):
    text = '<property name="text"><string>Go</string></property>'
    widget = loaded(harness, tmp_path, properties=text)
    ui = harness.slicer.util.childWidgetVariables(widget)
    assert ui.child.text == "Go"
    assert type(ui.child) is harness.qt.QPushButton


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"child": "ctkNothing"}, "no widget class 'ctkNothing'"),
        ({"properties": '<property name="colour"><string>red</string></property>'}, "no property 'colour'"),
        ({"connections": "<connection><sender>nobody</sender><signal>clicked()</signal></connection>"}, "nobody|slot"),
    ],
)
def test_a_ui_file_with_unknown_names_is_refused(harness, tmp_path, change, word):
    with pytest.raises(RuntimeError, match=word):
        loaded(harness, tmp_path, **change)


def test_the_scene_reaches_the_selectors_of_a_panel(harness, tmp_path):
    wire = (
        "<connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>"
        "<receiver>child</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>"
    )
    widget = loaded(harness, tmp_path, root="qMRMLWidget", child="qMRMLNodeComboBox", connections=wire)
    widget.setMRMLScene(harness.slicer.mrmlScene)
    selector = harness.slicer.util.childWidgetVariables(widget).child
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    told = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", told.append)
    node = harness.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    assert selector.nodeCount() == 1
    selector.setCurrentNode(node)
    assert told == [node]
    harness.slicer.mrmlScene.RemoveNode(node)
    assert selector.currentNode() is None


class Kind(enum.Enum):
    FAST = "fast"
    GOOD = "good"


@pytest.fixture
def parameters(harness):
    """A wrapped parameter node of every kind of value."""
    slicer = harness.slicer
    from slicer.parameterNodeWrapper import Choice, WithinRange

    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        factor: Annotated[int, WithinRange(2, 8)] = 3
        method: Annotated[str, Choice(["a", "b"])] = "b"
        kind: Kind = Kind.GOOD
        thickness: float = 0.0
        keep: bool = False
        note: str = ""

    Parameters.__annotations__["volume"] = slicer.vtkMRMLScalarVolumeNode
    Parameters.__annotations__["factor"] = Annotated[int, WithinRange(2, 8)]
    Parameters.__annotations__["method"] = Annotated[str, Choice(["a", "b"])]
    Parameters.__annotations__ |= {"kind": Kind, "thickness": float, "keep": bool, "note": str}
    return slicer.parameterNodeWrapper.parameterNodeWrapper(Parameters)(slicer.vtkMRMLScriptedModuleNode())


def test_parameters_have_defaults_and_keep_what_is_written(parameters, harness):
    assert (parameters.factor, parameters.method, parameters.kind, parameters.note) == (3, "b", Kind.GOOD, "")
    parameters.factor, parameters.kind, parameters.keep, parameters.thickness = 5, Kind.FAST, True, 2.5
    again = type(parameters)(parameters.parameterNode)
    assert (again.factor, again.kind, again.keep, again.thickness) == (5, Kind.FAST, True, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("factor", 9), ("factor", "3"), ("method", "c"), ("keep", "yes"), ("volume", 3), ("nonesuch", 1)],
)
def test_parameters_refuse_wrong_values_and_names(parameters, name, value):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        setattr(parameters, name, value)


def test_a_type_that_slicer_cannot_store_is_refused(harness):
    class Parameters:
        path: complex

    Parameters.__annotations__["path"] = complex
    with pytest.raises(TypeError, match="serializer"):
        harness.slicer.parameterNodeWrapper.parameterNodeWrapper(Parameters)


def test_parameters_and_widgets_follow_each_other(parameters, qt):
    box, wrong = qt.QDoubleSpinBox(), qt.QLabel()
    tag = parameters.connectParametersToGui({"thickness": box})
    parameters.thickness = 4.0
    assert box.value == 4.0
    box.value = 7.0
    assert parameters.thickness == 7.0
    parameters.disconnectGui(tag)
    box.value = 1.0
    assert parameters.thickness == 7.0
    with pytest.raises(RuntimeError, match="GUI connector"):
        parameters.connectParametersToGui({"thickness": wrong})
    with pytest.raises(ValueError, match="nonesuch"):
        parameters.connectParametersToGui({"nonesuch": box})


def test_unknown_module_metadata_is_refused(harness, tmp_path):
    path = tmp_path / "Faulty.py"
    path.write_text(
        "from slicer.ScriptedLoadableModule import ScriptedLoadableModule\n"
        "class Faulty(ScriptedLoadableModule):\n"
        "    def __init__(self, parent):\n"
        "        super().__init__(parent)\n"
        "        parent.titel = 'Faulty'\n"
    )
    with pytest.raises(AttributeError, match="titel"):
        harness.load(path)


def test_unknown_attributes_of_the_application_are_refused(harness):
    with pytest.raises(AttributeError, match="nonesuch"):
        harness.slicer.app.nonesuch = 1
    with pytest.raises(AttributeError):
        harness.slicer.app.nonesuch()


def test_a_message_box_without_an_answer_does_not_wait_forever(harness):
    harness.slicer.app.openMainWindow()
    try:
        with pytest.raises(AssertionError, match="nobody answers: Really"):
            harness.slicer.util.confirmOkCancelDisplay("Really?")
        harness.answer("Cancel")
        answers = []
        harness.run(lambda: answers.append(harness.slicer.util.confirmOkCancelDisplay("Really?")))
        assert answers == [False]
    finally:
        harness.slicer.app.closeMainWindow()


def test_an_error_in_a_callback_is_recorded(harness, qt):
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert [type(error) for error in harness.errors] == [ZeroDivisionError]
    harness.errors.clear()


def test_a_disabled_button_cannot_be_clicked(harness, qt):
    button = qt.QPushButton()
    button.enabled = False
    with pytest.raises(AssertionError, match="nobody can click"):
        harness.click(button)


def test_a_file_dialog_returns_the_selected_path_and_raises_without_an_answer(harness, qt, tmp_path):
    harness.choose(tmp_path / "weights.pt")
    harness.choose("")
    assert qt.QFileDialog.getOpenFileName(None, "Weights", "", "*.pt") == str(tmp_path / "weights.pt")
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    with pytest.raises(AssertionError, match="nobody answers: Folder"):
        qt.QFileDialog.getExistingDirectory(None, "Folder")


def test_opened_urls_are_recorded_and_other_types_refused(harness, qt, tmp_path):
    harness.forgetAnswers()
    assert qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(tmp_path)))
    assert harness.opened() == [str(tmp_path)]
    with pytest.raises(TypeError, match="QUrl"):
        qt.QDesktopServices.openUrl(str(tmp_path))
    harness.forgetAnswers()
    assert harness.opened() == []


def test_a_plot_view_is_created_with_the_first_layout_that_has_one(harness):
    slicer = harness.slicer
    harness.slicer.app.openMainWindow()
    try:
        manager = slicer.app.layoutManager()
        assert manager.plotWidget(0) is None
        wanted = slicer.modules.plots.logic().GetLayoutWithPlot(manager.layout)
        assert wanted == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView != manager.layout
        manager.setLayout(wanted)
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
        manager.plotWidget(0).mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())
        assert manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNode() is chart
        slicer.mrmlScene.RemoveNode(chart)
    finally:
        slicer.app.closeMainWindow()


def test_the_settings_are_stored_in_a_file(harness, qt):
    assert harness.slicer.app.slicerUserSettingsFilePath == qt.QSettings().fileName()


def test_no_test_module_has_the_name_of_a_slicer_package():
    assert not (Path(__file__).parents[2] / "__init__.py").exists()


def test_a_selector_selects_the_next_node_on_removal_and_offers_no_hidden_one(harness):
    slicer = harness.slicer
    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "abc"]
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    box.setCurrentNode(nodes[1])
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert box.currentNode() is nodes[2]
    box.sortFilterProxyModel().hiddenNodeIDs = [nodes[0].GetID()]
    assert box.nodeCount() == 1


def test_tool_tips_are_wrapped(harness):
    button = harness.qt.QPushButton()
    button.toolTip = "Go & see."
    assert button.toolTip == "<p>Go &amp; see.</p>"
    assert harness.tip(button) == "Go & see."
    assert harness.qt.QPushButton().toolTip == ""
