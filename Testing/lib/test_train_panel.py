"""Trainings of a few steps through the panel's own buttons: real scans, real child process, real trainer."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

MANY = 100_000  # steps: such a training does not end before it is stopped


@pytest.fixture
def ui(panel, modelFolder):
    """The widgets of the section, unfolded, with no training left."""
    found = panel.sections["Train"].ui
    found.trainSection.collapsed = False
    found.learnFromBox.setCurrentIndex(0)
    found.cohortEdit.text, found.nameEdit.text = "", "mine"
    for box in (found.recipeBox, found.startBox, found.curveBox):
        box.setCurrentIndex(0)
    panel._parameters.Modified()
    yield found
    panel.logic.training.cancel()
    found.curveBox.setCurrentIndex(0)
    found.trainSection.collapsed = True


@pytest.fixture
def steps(monkeypatch):
    """Lets the panel's trainings take so many steps, in place of minutes."""

    def set(count):
        length = lambda minutes, steps: ["--steps", str(count)]  # noqa: E731
        monkeypatch.setattr(sys.modules["CTSliceSynthesisLib.Training"], "length", length)

    return set


@pytest.fixture(scope="session")
def cohort(application, tmp_path_factory):
    """Two parts of the bundled scan, 1.5 mm apart, as the scans of two patients."""
    import SimpleITK

    folder = tmp_path_factory.mktemp("cohort")
    sample = Path(sys.modules["CTSliceSynthesis"].__file__).parent / "Resources/SampleData/ts_body_1p5iso_crop.nrrd"
    image = SimpleITK.ReadImage(str(sample))
    SimpleITK.WriteImage(image[20:120, 20:120, :12], str(folder / "first.nrrd"))
    SimpleITK.WriteImage(image[20:120, 20:120, 60:72], str(folder / "second.nrrd"))
    return folder


@pytest.fixture
def chest(harness):
    """Every fourth slice of the bundled scan, cropped to the least that can be learned from."""
    import slicer

    node = sys.modules["CTSliceSynthesis"].thickSample(4)
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[:12, 20:120, 20:120].copy())
    node.SetName("chest")
    return node


def finish(harness, panel):
    harness.wait(lambda: not panel.logic.training.isRunning, seconds=240)


def shown(box):
    return [box.itemText(index) for index in range(box.count)]


def train(harness, ui, folder):
    harness.choose(folder)
    harness.click(ui.cohortButton)
    harness.click(ui.trainButton)


def test_a_training_on_a_folder_makes_a_model_that_is_offered_with_its_report_and_curves(
    harness, panel, ui, modelFolder, cohort, steps, makeVolume
):
    slicer = harness.slicer
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    ui.curveBox.setCurrentIndex(1)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    steps(3)
    panel._parameters.inputVolume = makeVolume()
    train(harness, ui, cohort)
    assert ui.trainButton.text == "Stop"
    assert not ui.adaptButton.enabled
    stages = set()

    def ended():
        stages.add(ui.trainLabel.text.partition(",")[0])
        return not panel.logic.training.isRunning

    harness.wait(ended, seconds=240)
    assert {"Starting", "Training"} <= stages
    assert "“mine” is trained, and among the models now. Passed: at least +" in ui.trainMessage.text
    assert harness.opened() == [str(modelFolder / "mine" / "mine.report" / "report.html")]
    assert Path(harness.opened()[0]).is_file()
    assert sorted(path.name for path in (modelFolder / "mine").iterdir()) == ["mine.json", "mine.pt", "mine.report"]
    assert shown(panel.ui.modelBox) == ["compact", "mine"]
    assert panel._parameters.model == "compact"  # offered, not forced
    assert "beats" not in ui.trainMessage.text and ui.trainBar.isHidden()
    harness.click(ui.reportButton)
    assert len(harness.opened()) == 2
    panel._parameters.method = "cubic"
    harness.click(panel.ui.runButton)
    harness.click(ui.increaseButton)  # must not cancel what runs
    assert ui.trainMessage.text == "Another run is going on: wait for it, or cancel it."
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert slicer.util.getNode("scan x2 cubic")
    harness.click(ui.increaseButton)
    assert (panel._parameters.model, panel._parameters.method) == ("mine", "three-view")
    assert panel.logic.session.isRunning
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x2").GetAttribute("CTSliceSynthesis.model") == "mine.pt"
    assert not list(Path(harness.slicer.app.temporaryPath).glob("CTSliceSynthesis-*"))
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
    checkCurves(slicer, panel, ui)


def checkCurves(slicer, panel, ui):
    """Both curves are drawn with Slicer's own nodes, and nothing of them is left."""
    manager = slicer.app.layoutManager()

    def drawn():
        chart = manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNode()
        return chart, chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()

    chart, table = drawn()
    assert chart.GetTitle() == "Loss"
    assert [table.GetColumnName(n) for n in range(2)] == ["step", "Loss"]
    assert table.GetNumberOfRows() == len(panel.logic.training.curve) >= 1
    assert table.GetValue(table.GetNumberOfRows() - 1, 0).ToInt() == 3
    assert table.GetValue(0, 1).ToDouble() > 0
    ui.curveBox.setCurrentIndex(2)
    chart, table = drawn()
    assert "Gain over cubic" in chart.GetTitle()
    assert table.GetValue(0, 1).ToDouble() > 0.5
    ui.curveBox.setCurrentIndex(0)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    for kind in ("Table", "PlotSeries", "PlotChart"):
        assert not slicer.util.getNodesByClass(f"vtkMRML{kind}Node")


def test_a_model_that_lost_is_not_added_and_the_report_says_why(harness, panel, ui, modelFolder, cohort, steps):
    steps(1)
    ui.startBox.setCurrentIndex(1)  # from scratch: after one step the networks answer with cubic interpolation
    train(harness, ui, cohort)
    finish(harness, panel)
    assert "it lost, and was not added to the models. Failed: it does not beat" in ui.trainMessage.text
    assert shown(panel.ui.modelBox) == ["compact"]
    assert ui.increaseButton.isHidden()
    assert harness.opened() == [str(modelFolder / "mine" / "mine.report" / "report.html")]
    assert "Failed: " in Path(harness.opened()[0]).read_text(encoding="utf-8")
    assert ui.resumeButton.isHidden()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def learning(harness, panel):
    """Wait until steps are made."""
    training = panel.logic.training
    harness.wait(lambda: training.curve or not training.isRunning, seconds=240)
    assert training.isRunning


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_stop_keeps_what_is_learned_and_resume_goes_on(harness, panel, ui, modelFolder, cohort, steps):
    steps(MANY)
    train(harness, ui, cohort)
    learning(harness, panel)
    harness.click(ui.trainButton)
    finish(harness, panel)
    assert ui.trainMessage.text == "The training was stopped; it can be gone on with."
    assert (modelFolder / "mine" / "mine.pt.state").exists()
    assert harness.opened() == []
    order = modelFolder / "mine" / "training.json"
    rewrite(order, f'"{MANY}"', '"1", "--seed", "7"')  # another run, which must not go on from this state
    assert ui.resumeButton.text == "Resume “mine”"
    seen = []
    harness.click(ui.resumeButton)
    harness.answer("Ok", seen)
    finish(harness, panel)
    assert "belongs to another run (other seed)" in seen[0]
    assert seen[0].partition("\n")[0].endswith("The training “mine” can be gone on with.")
    rewrite(order, '"1", "--seed", "7"', '"1"')
    harness.click(ui.resumeButton)
    finish(harness, panel)
    assert "“mine” is trained" in ui.trainMessage.text
    assert sorted(path.name for path in (modelFolder / "mine").iterdir()) == ["mine.json", "mine.pt", "mine.report"]


def test_a_training_goes_on_while_slicer_is_used_for_other_work(
    harness, panel, ui, modelFolder, cohort, steps, makeVolume
):
    steps(MANY)
    train(harness, ui, cohort)
    pid = panel.logic.training.childPid
    panel._parameters.inputVolume = makeVolume()
    panel._parameters.method = "cubic"
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x2 cubic")
    harness.slicer.util.selectModule("Data")
    harness.closeScene()
    learning(harness, panel)
    harness.slicer.util.selectModule("CTSliceSynthesis")
    assert panel.logic.training.isRunning and alive(pid)
    assert ui.trainButton.text == "Stop"
    assert "loss" in ui.trainLabel.text


def test_slicer_quitting_stops_the_training_which_can_be_gone_on_with(
    harness, ui, panel, modelFolder, cohort, monkeypatch
):
    slicer = harness.slicer
    monkeypatch.setattr(slicer.modules, "CTSliceSynthesisWidget", None, raising=False)  # put back after the test
    extra = slicer.qSlicerScriptedLoadableModuleWidget(slicer.modules.ctslicesynthesis)
    extra.make()
    logic = extra.self().logic
    logic.train(str(cohort), steps=MANY, preset="tiny", waitForCompletion=False)
    harness.wait(lambda: logic.training.curve or not logic.training.isRunning, seconds=240)
    pid = logic.training.childPid
    extra.self()._onModuleAboutToBeUnloaded("CTSliceSynthesis")
    assert not alive(pid)
    assert sys.modules["CTSliceSynthesisLib.Training"].unfinished() == ["mine"]
    assert (modelFolder / "mine" / "mine.pt.state").exists()


def test_a_training_whose_slicer_is_gone_ends_and_keeps_its_state(harness, panel, ui, modelFolder, cohort, steps):
    steps(MANY)
    train(harness, ui, cohort)
    state = modelFolder / "mine" / "mine.pt.state"
    harness.wait(state.exists, seconds=240)
    run = panel.logic.training._run
    panel.logic.training._timer.stop()
    run.worker._process.stdin.close()  # what the system does when Slicer crashes
    run.worker._process.wait(60)
    assert not run.folder.exists()
    assert state.exists()
    panel.logic.training._run = None
    panel._parameters.Modified()
    assert ui.resumeButton.text == "Resume “mine”"


def test_a_model_is_adapted_to_this_scan_and_one_click_increases_with_it(
    harness, panel, ui, modelFolder, chest, makeVolume, steps
):
    steps(2)
    panel._parameters.inputVolume = chest
    harness.click(ui.adaptButton)
    finish(harness, panel)
    assert "“chest adapted” is trained" in ui.trainMessage.text
    assert not list((modelFolder / "chest adapted").glob("*.nrrd"))
    assert not (modelFolder / "chest adapted" / "scans").exists()
    panel._parameters.inputVolume = makeVolume()
    assert ui.increaseButton.text == "Increase with “chest adapted”"
    harness.click(ui.increaseButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    thin = harness.slicer.util.getNode("chest x2")
    assert thin.GetAttribute("CTSliceSynthesis.model") == "chest adapted.pt"


def test_the_volumes_of_the_scene_are_learned_from_and_not_estimates(
    harness, panel, ui, modelFolder, makeVolume, steps
):
    steps(MANY)
    ui.learnFromBox.setCurrentIndex(1)
    assert ui.cohortEdit.isHidden()
    assert "no CT scan in the scene" in harness.tip(ui.trainButton)
    thick = makeVolume(size=(100, 96, 24), name="a scan: 1/2")
    estimate = makeVolume(size=(100, 96, 24), name="made", seed=1)
    estimate.SetAttribute("CTSliceSynthesis.method", "three-view")
    panel._parameters.Modified()
    harness.click(ui.trainButton)
    assert [path.name for path in (modelFolder / "mine" / "scans").iterdir()] == ["a scan_ 1_2.nrrd"]
    learning(harness, panel)
    panel.logic.stopTraining()
    assert thick.GetName() == "a scan: 1/2"
    panel._parameters.inputVolume = estimate
    assert "estimates are nothing to learn from" in harness.tip(ui.adaptButton)


def rubbish(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("no scan")
    (folder / "cut.nrrd").write_bytes(b"NRRD0004\n")
    return folder


def test_a_folder_with_rubbish_gives_one_sentence_and_leaves_nothing(harness, panel, ui, modelFolder, tmp_path):
    seen = []
    train(harness, ui, rubbish(tmp_path / "rubbish"))
    harness.answer("Ok", seen)
    finish(harness, panel)
    assert len(seen) == 1
    assert "none to learn from" in seen[0]
    assert "--" not in seen[0]
    assert list(modelFolder.iterdir()) == []
    assert ui.resumeButton.isHidden()


def test_a_folder_that_is_empty_or_not_there_is_told_before_anything_starts(harness, panel, ui, modelFolder, tmp_path):
    assert harness.tip(ui.trainButton) == "Choose a folder of CT scans."
    for name, words in (("empty", "is empty"), ("none", "There is no folder")):
        if name == "empty":
            (tmp_path / name).mkdir()
        seen = []
        harness.answer("Ok", seen)
        train(harness, ui, tmp_path / name)
        assert words in seen[0]
        assert not panel.logic.training.isRunning
        assert not modelFolder.exists()


def test_scripts_train_and_adapt_and_are_told(harness, logic, modelFolder, cohort, chest, makeVolume):
    told = []
    adapted = logic.adapt(chest, steps=1, onProgress=told.append)
    assert adapted.passed is True and adapted.verdict.startswith("Passed")
    assert {event["stage"] for event in told} >= {"scans", "train", "measure"}
    assert logic.increaseResolution(chest, factor=2, model=adapted.name).GetName() == "chest x2"
    for options, words in (
        ({"recipe": "secret"}, "The recipe is one of"),
        ({"start": "nobody"}, "There is no model “nobody”"),
        ({"minutes": -1}, "more than 0 minutes"),
    ):
        with pytest.raises(RuntimeError, match=words):
            logic.train(str(cohort), name="bad", **options)
        assert not (modelFolder / "bad").exists()
    with pytest.raises(RuntimeError, match="Choose an input volume"):
        logic.adapt(None)
    with pytest.raises(RuntimeError, match="has 8 slices of 24 × 20 pixels; at least 8 slices of 96 × 96"):
        logic.adapt(makeVolume())


def test_thickness_and_patient_of_dicom_volumes_go_along(makeVolume, monkeypatch, tmp_path):
    import slicer
    from CTSliceSynthesisLib import TrainingScans

    class Database:
        """Stands for the DICOM database, which needs the application."""

        def instanceValue(self, uid, tag):
            return {"0018,0050": "3.0", "0010,0020": "S3CR3T"}[tag]

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    nodes = [makeVolume(name="one"), makeVolume(name="one", seed=1)]
    nodes[0].SetAttribute("DICOM.instanceUIDs", "1.1 1.2")
    arguments = TrainingScans.handOver(nodes, tmp_path)
    assert sorted(path.name for path in (tmp_path / "scans").iterdir()) == ["scan 1.nrrd", "scan 2.nrrd"]
    rows = Path(arguments[2]).read_text().splitlines()
    assert len(rows) == 2 and rows[1].startswith("scan 1,3.0,")
    assert "S3CR3T" not in rows[1] and len(rows[1].split(",")[-1]) == 16


def test_volumes_whose_slices_are_closer_than_their_pixels_are_told(makeVolume):
    from CTSliceSynthesisLib import TrainingScans

    node = makeVolume(spacing=(0.8, 0.8, 0.5))
    node.SetAttribute("DICOM.instanceUIDs", "1.1")
    assert "closer than its pixels" in TrainingScans.problem(node)


def test_a_second_training_waits_for_the_first(harness, panel, ui, modelFolder, cohort, steps):
    steps(MANY)
    train(harness, ui, cohort)
    with pytest.raises(RuntimeError, match="Another training is going on"):
        panel.logic.train(str(cohort), name="other")
    assert not (modelFolder / "other").exists()
    folder = panel.logic.training.folder
    panel.logic.stopTraining()
    assert not panel.logic.training.isRunning and not folder.exists()
    models = panel.sections["Models"].ui
    assert models.emptyModelsButton.enabled
    time.sleep(0.1)
    assert np.all([path.name != "other" for path in modelFolder.iterdir()])
