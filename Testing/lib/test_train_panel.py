"""Trainings of a few steps through the panel's buttons: real scans, child process and trainer."""

import os
import sys
from pathlib import Path

import pytest

MANY = 100_000  # steps: such a training does not end before it is stopped


@pytest.fixture
def ui(trainUi):
    return trainUi


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
    ui.curvesBox.checked = True
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
    assert "“mine” is trained and is now among the models. Passed: at least +" in ui.trainMessage.text
    assert harness.opened() == [str(modelFolder / "mine" / "mine.report" / "report.html")]
    assert Path(harness.opened()[0]).is_file()
    assert sorted(path.name for path in (modelFolder / "mine").iterdir()) == ["mine.json", "mine.pt", "mine.report"]
    assert shown(panel.ui.modelBox) == ["compact", "quality", "mine"]
    assert panel._parameters.model == "compact"  # offered, not forced
    assert "beats" not in ui.trainMessage.text and ui.trainBar.isHidden()
    harness.click(ui.reportButton)
    assert len(harness.opened()) == 2
    panel._parameters.method = "cubic"
    harness.click(panel.ui.runButton)
    harness.click(ui.increaseButton)  # must not cancel the current run
    assert ui.trainMessage.text == "Another run is in progress: wait for it, or cancel it."
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
    """Loss and gain are drawn in one chart with Slicer's own nodes, which are all removed afterwards."""
    manager, curve = slicer.app.layoutManager(), panel.logic.training.curve
    chart = manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNode()
    assert [point["step"] for point in curve] == [3]
    assert chart.GetNumberOfPlotSeriesNodes() == 0  # one point does not form a line
    curve.append({"step": 4, "losses": {"loss_total": curve[0]["losses"]["loss_total"] / 2}, "gain_db": 2.5})
    ui.curvesBox.checked = False
    ui.curvesBox.checked = True
    chart = manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNode()
    drawn = {}
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        table = series.GetTableNode().GetTable()
        assert series.GetXColumnName() == "step"
        assert [table.GetValue(row, 0).ToInt() for row in range(table.GetNumberOfRows())] == [3, 4]
        drawn[series.GetYColumnName()] = [table.GetValue(row, 1).ToDouble() for row in range(2)]
    assert drawn == {
        "Loss (share of the first)": [1.0, 0.5],
        "Gain over cubic on held-out scans (dB)": [curve[0]["gain_db"], 2.5],
    }
    assert manager.plotWidget(0).picture(300, 200).std() > 5  # lines, and a legend that tells them apart
    ui.curvesBox.checked = False
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    for kind in ("Table", "PlotSeries", "PlotChart"):
        assert not slicer.util.getNodesByClass(f"vtkMRML{kind}Node")


def test_a_model_that_failed_is_not_added_and_the_report_gives_the_reason(
    harness, panel, ui, modelFolder, cohort, steps
):
    steps(1)
    ui.startBox.setCurrentIndex(1)  # from scratch: after one step the networks answer with cubic interpolation
    train(harness, ui, cohort)
    finish(harness, panel)
    assert "it lost and was not added to the models. Failed: it does not beat" in ui.trainMessage.text
    assert shown(panel.ui.modelBox) == ["compact", "quality"]
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
    """Wait until training steps have been performed."""
    training = panel.logic.training
    harness.wait(lambda: training.curve or not training.isRunning, seconds=240)
    assert training.isRunning


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_stop_saves_the_state_and_resume_continues(harness, panel, ui, modelFolder, cohort, steps):
    steps(MANY)
    train(harness, ui, cohort)
    learning(harness, panel)
    harness.click(ui.trainButton)
    finish(harness, panel)
    assert ui.trainMessage.text == "The training was stopped; it can be resumed."
    assert (modelFolder / "mine" / "mine.pt.state").exists()
    assert harness.opened() == []
    order = modelFolder / "mine" / "training.json"
    rewrite(order, f'"{MANY}"', '"1", "--seed", "7"')  # another run, which must not resume from this state
    assert ui.resumeButton.text == "Resume “mine”"
    seen = []
    harness.click(ui.resumeButton)
    harness.answer("Ok", seen)
    finish(harness, panel)
    assert "belongs to another run (other seed)" in seen[0]
    assert seen[0].partition("\n")[0].endswith("The training “mine” can be resumed.")
    rewrite(order, '"1", "--seed", "7"', '"1"')
    harness.click(ui.resumeButton)
    finish(harness, panel)
    assert "“mine” is trained" in ui.trainMessage.text
    assert sorted(path.name for path in (modelFolder / "mine").iterdir()) == ["mine.json", "mine.pt", "mine.report"]


def test_a_training_continues_while_slicer_is_used_for_other_work(
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


def test_quitting_slicer_stops_the_training_which_can_be_resumed(harness, ui, panel, modelFolder, cohort, monkeypatch):
    slicer = harness.slicer
    monkeypatch.setattr(slicer.modules, "CTSliceSynthesisWidget", None, raising=False)  # restored after the test
    extra = slicer.qSlicerScriptedLoadableModuleWidget(slicer.modules.ctslicesynthesis)
    extra.make()
    logic = extra.self().logic
    logic.train(str(cohort), steps=MANY, preset="tiny", waitForCompletion=False)
    harness.wait(lambda: logic.training.curve or not logic.training.isRunning, seconds=240)
    pid = logic.training.childPid
    extra.self()._onModuleAboutToBeUnloaded("CTSliceSynthesis")
    assert not alive(pid)
    assert sys.modules["CTSliceSynthesisLib.Processes.Training"].unfinished() == ["mine"]
    assert (modelFolder / "mine" / "mine.pt.state").exists()


def test_a_training_whose_slicer_has_crashed_ends_and_keeps_its_state(harness, panel, ui, modelFolder, cohort, steps):
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
