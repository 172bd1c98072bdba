"""Texts of the panel about a scan and a planned run, and how choices are saved."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_panel_run import choose


class Database:
    """Stub of the DICOM database, which needs the application."""

    def __init__(self, thicknesses):
        self.thicknesses = thicknesses

    def instanceValue(self, uid, tag):
        assert tag == "0018,0050"
        return self.thicknesses[uid]


def test_an_empty_scene_says_what_is_needed(harness, panel):
    assert not panel.ui.runButton.enabled
    assert harness.tip(panel.ui.runButton) == "Choose an input volume."
    assert panel.ui.factsLabel.text == "No scan is chosen."


def test_a_scan_is_described_and_each_resolution_with_the_spacing_it_gives(panel, makeVolume):
    choose(panel, makeVolume())
    ui = panel.ui
    assert ui.factsLabel.text == ("24 × 20 × 8 voxels of 0.7 × 0.8 × 5 mm, slices stacked foot to head")
    texts = [ui.resolutionBox.itemText(index) for index in range(ui.resolutionBox.count)]
    assert texts[0] == "2 times finer: a slice every 2.5 mm"
    assert texts[6] == "8 times finer: a slice every 0.625 mm"
    assert texts[7] == "As fine as the pixels: a slice every 0.714 mm (7 times)"
    assert ui.planLabel.text.startswith("24 × 20 × 15 voxels · 0.5 GB of memory · about 5 s on the CPU")
    ui.resolutionBox.setCurrentIndex(2)
    assert panel._parameters.resolution == "4"
    assert ui.planLabel.text.startswith("24 × 20 × 29 voxels")
    assert ui.runButton.enabled


def test_the_thickness_comes_from_dicom_and_gaps_are_reported(panel, makeVolume, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer, "dicomDatabase", Database({"1.1": "3.0", "1.2": "3.0"}), raising=False)
    node = makeVolume()
    node.SetAttribute("DICOM.instanceUIDs", "1.1 1.2")
    choose(panel, node)
    assert panel.ui.thicknessBox.text == "3 mm by DICOM"
    assert "Slices are 3 mm thick and 5 mm apart: they leave gaps." in panel.ui.notesLabel.text
    assert "unknown" not in panel.ui.planLabel.text
    panel.ui.thicknessBox.value = 8.0
    assert panel.ui.thicknessBox.text == "8.00 mm"
    assert "overlap" in panel.ui.notesLabel.text


def test_thicknesses_that_differ_are_unknown(panel, makeVolume, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer, "dicomDatabase", Database({"1.1": "3.0", "1.2": "4.0"}), raising=False)
    node = makeVolume()
    node.SetAttribute("DICOM.instanceUIDs", "1.1 1.2")
    choose(panel, node)
    assert panel.ui.thicknessBox.text == "unknown: type it here"


def test_an_unknown_thickness_can_be_typed_in_and_is_mentioned_once(harness, panel, makeVolume):
    choose(panel, makeVolume())
    ui = panel.ui

    def said():
        texts = [getattr(widget, "text", "") for widget in vars(ui).values()]
        return [text for text in texts if isinstance(text, str) and "thickness is unknown" in text]

    assert said() == [ui.planLabel.text]
    assert "mm: the result is better when it is given, under Input." in ui.planLabel.text
    form = ui.thicknessBox.parentWidget()
    assert form is ui.inputSelector.parentWidget() and not ui.thicknessBox.isHidden() and ui.thicknessBox.enabled
    harness.click(ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert said() == [ui.planLabel.text]  # not once more below the button
    ui.thicknessBox.value = 4.0
    assert said() == []
    assert panel._parameters.thickness == 4.0
    choose(panel, None)
    assert ui.thicknessBox.isHidden() and ui.thicknessLabel.isHidden()


def test_unusual_properties_are_reported_in_plain_words(harness, panel, makeVolume):
    import numpy as np

    tilted = np.array([[1.0, 0, 0], [0, 1, np.sin(0.2)], [0, 0, np.cos(0.2)]])
    node = makeVolume(directions=tilted, dtype="uint8")
    parent = harness.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    choose(panel, node)
    node.SetAndObserveTransformNodeID(parent.GetID())
    notes = panel.ui.notesLabel.text
    assert "Tilted by 11.5°" in notes
    assert "Moved by the transform “moved”" in notes
    assert "Values from 0 to 120 do not look like a CT" in notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spacing": (1.0, 1.0, 1.0)}, "already as close as the pixels"),
        ({"size": (24, 20, 1)}, "At least two slices"),
    ],
)
def test_the_button_is_disabled_and_says_why(harness, panel, makeVolume, change, words):
    choose(panel, makeVolume(**change))
    assert not panel.ui.runButton.enabled
    assert words in harness.tip(panel.ui.runButton)
    assert words in panel.ui.planLabel.text
    assert "--" not in panel.ui.planLabel.text


def test_the_input_as_output_is_refused(harness, panel, makeVolume):
    node = makeVolume()
    choose(panel, node, outputVolume=node)
    assert "must not replace the input" in harness.tip(panel.ui.runButton)


def test_a_run_that_does_not_fit_is_refused_before_it_starts(harness, panel, makeVolume, monkeypatch):
    session = sys.modules["CTSliceSynthesisLib.Session"]
    monkeypatch.setattr(session, "available_memory", lambda: 1000)
    choose(panel, makeVolume())
    assert "GB of memory" in harness.tip(panel.ui.runButton)
    monkeypatch.undo()
    monkeypatch.setattr(
        sys.modules["CTSliceSynthesisLib.Processes.Task"].shutil, "disk_usage", lambda path: SimpleNamespace(free=10)
    )
    panel.increasePanel.refresh()
    assert "disk space" in harness.tip(panel.ui.runButton)


def test_the_disk_space_of_additional_volumes_is_counted(harness, logic, makeVolume):
    session = sys.modules["CTSliceSynthesisLib.Session"]
    node = makeVolume(size=(24, 20, 8))  # int16, and so are the additional volumes
    asked = {"expectedError": True, "disagreement": True}
    plain, full = (session.bytesOnDisk(node, logic.plan(node, factor=4, **options)) for options in ({}, asked))
    assert plain == 2 * 24 * 20 * (8 + 29)
    assert full == plain + 2 * 2 * 24 * 20 * 29


def test_changes_of_the_input_update_the_panel(harness, panel, makeVolume):
    import numpy as np

    node = makeVolume()
    choose(panel, node)
    harness.slicer.util.updateVolumeFromArray(node, np.arange(4000, dtype=np.int16).reshape(10, 20, 20) - 1000)
    assert panel.ui.factsLabel.text.startswith("20 × 20 × 10 voxels")


def test_choices_are_saved_and_restored_with_the_scene(harness, panel, makeVolume, tmp_path):
    slicer = harness.slicer
    node = makeVolume(name="kept")
    choose(panel, node, resolution="isotropic", method="bspline", sliceAxis="k", thickness=4.5, keepDisagreement=True)
    assert slicer.util.saveNode(node, str(tmp_path / "kept.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    harness.closeScene()
    assert panel._parameters.inputVolume is None
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    found = panel._parameters
    assert found.inputVolume.GetName() == "kept"
    kept = (found.resolution, found.method, found.sliceAxis, found.thickness, found.keepDisagreement)
    assert kept == ("isotropic", "bspline", "k", 4.5, True)
    ui = panel.ui
    assert ui.inputSelector.currentNode().GetName() == "kept"
    assert ui.resolutionBox.currentIndex == 7
    assert ui.methodBox.currentText == "B-spline"
    assert ui.thicknessBox.value == 4.5


def test_choices_about_the_machine_are_kept_outside_the_scene(harness, panel):
    panel.ui.deviceBox.setCurrentIndex(1)
    panel.ui.comparisonBox.checked = False
    harness.closeScene()
    assert harness.qt.QSettings().value("CTSliceSynthesis/Device") == "cpu"
    parameters = sys.modules["CTSliceSynthesisLib.Parameters"]
    assert parameters.device() == "cpu"
    assert not parameters.showsComparison()
    panel.ui.comparisonBox.checked = True
    assert parameters.showsComparison()


def test_the_module_reloads_while_a_run_goes_on_and_the_new_panel_works(harness, panel, makeVolume):
    choose(panel, makeVolume(), method="cubic", resolution="5")
    harness.click(panel.ui.runButton)
    old = panel.logic.session
    panel.onReload()
    assert not old.isRunning
    new = harness.slicer.modules.CTSliceSynthesisWidget
    assert new is not panel
    assert new._parameters.resolution == "5"
    harness.click(new.ui.runButton)
    harness.wait(lambda: not new.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x5 cubic")


def test_the_card_of_the_model_is_shown_on_request(panel):
    assert panel.ui.cardText.isHidden()
    panel.ui.cardButton.checked = True
    text = panel.ui.cardText.plainText
    assert "compact" in text
    assert "Limits" in text
    assert "CC BY" in text


def test_leaving_and_entering_the_module_many_times_leaves_one_set_of_observers(harness, panel, makeVolume):
    choose(panel, makeVolume())
    before = len(panel.increasePanel.Observations), len(panel.advancedPanel.Observations)
    for _ in range(3):
        harness.slicer.util.selectModule("Data")
        harness.slicer.util.selectModule("CTSliceSynthesis")
    assert (len(panel.increasePanel.Observations), len(panel.advancedPanel.Observations)) == before


def test_logic_works_without_a_main_window_and_calls_back(harness, makeVolume):
    """As with `Slicer --no-main-window --python-script`."""
    code = """
import sys, pathlib, slicer_harness
harness = slicer_harness.start()
harness.load(pathlib.Path(sys.argv[1]))
import slicer
from CTSliceSynthesis import CTSliceSynthesisLogic, thickSample
before = set(sys.modules)
thick, told, ended = thickSample(4), [], []
logic = CTSliceSynthesisLogic()
plan = logic.plan(thick, factor=4)
print(plan.output_grid.size)
logic.increaseResolution(thick, factor=4, method="cubic", waitForCompletion=False,
    onProgress=lambda p: told.append(p.share), onFinished=ended.append)
harness.wait(lambda: ended)
print(ended[0].status, ended[0].output.GetName(), len(told) > 0)
print(logic.increaseResolution(thick, isotropic=True, method="cubic").GetName())
print(slicer.util.mainWindow(), "torch" in sys.modules)
slicer.selfTests["CTSliceSynthesis"]()
print("test passed")
"""
    module = Path(sys.modules["CTSliceSynthesis"].__file__)
    paths = [str(Path(importlib.util.find_spec("slicer_harness").origin).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}\n{code}", str(module)],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "(192, 144, 101)",
        "succeeded thick sample x4 cubic True",
        "thick sample x4 cubic_1",
        "None False",
        "test passed",
    ], done.stderr[-3000:]


def test_the_panel_is_free_of_the_words_of_the_command_line(panel, makeVolume):
    choose(panel, makeVolume())
    for index in range(8):
        panel.ui.resolutionBox.setCurrentIndex(index)
        texts = [getattr(widget, "text", "") for widget in vars(panel.ui).values()]
        assert not [text for text in texts if isinstance(text, str) and "--" in text]
