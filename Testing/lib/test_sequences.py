"""Every frame of a sequence (4D CT): real sequence nodes and browser, the real child process."""

import numpy as np
import pytest
import vtk
from test_geometry import world
from test_panel_run import alive, choose, finish, volumes

TIMES = ("0", "40.5", "80")  # percent of a breath


@pytest.fixture
def sequence(harness, makeVolume):
    """A sequence of three different frames, shown by a browser."""
    return sequenceOf(harness, [makeVolume(name=f"phase {index}", seed=index) for index in range(3)])


def sequenceOf(harness, frames):
    slicer = harness.slicer
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breath")
    result.SetIndexName("phase")
    result.SetIndexUnit("%")
    for time, frame in zip(TIMES, frames, strict=True):
        result.SetDataNodeAtValue(frame, time)
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "player")
    browser.SetAndObserveMasterSequenceNodeID(result.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    browser.GetProxyNode(result).CreateDefaultDisplayNodes()
    return result


def voxels(harness, sequence):
    return [
        harness.slicer.util.arrayFromVolume(sequence.GetNthDataNode(index)).copy()
        for index in range(sequence.GetNumberOfDataNodes())
    ]


def sequences(harness):
    return [node.GetName() for node in harness.slicer.util.getNodesByClass("vtkMRMLSequenceNode")]


def proxy(harness, sequence):
    browser = harness.slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    return browser.GetProxyNode(sequence)


def test_a_script_gets_a_sequence_with_every_frame_finer(harness, logic, sequence):
    before, updates = voxels(harness, sequence), []
    result = logic.increaseSequence(sequence, factor=4, method="cubic", onProgress=updates.append)
    after = voxels(harness, result)
    assert result.GetName() == "breath x4 cubic"
    assert [result.GetNthIndexValue(index) for index in range(3)] == list(TIMES)
    assert (result.GetIndexName(), result.GetIndexUnit(), result.GetIndexType()) == (
        "phase",
        "%",
        sequence.GetIndexType(),
    )
    for thick, thin in zip(before, after, strict=True):
        assert thin.shape == (29, 20, 24)
        assert np.array_equal(thin[::4], thick)
    assert not np.array_equal(after[0], after[1])
    shares = [progress.share for progress in updates]
    assert shares == sorted(shares)
    assert updates[0].stage.startswith("Frame 1 of 3")
    assert updates[-1].stage.startswith("Frame 3 of 3")
    assert shares[-1] > 2 / 3
    assert "estimates" in result.GetAttribute("CTSliceSynthesis.note")
    assert result.GetNthDataNode(1).GetAttribute("CTSliceSynthesis.factor") == "4"
    assert [node for node in volumes(harness) if "x4" in node] == [proxy(harness, result).GetName()]


def test_both_sequences_are_played_together_and_look_alike(harness, logic, sequence):
    shown = proxy(harness, sequence)
    shown.GetDisplayNode().SetAutoWindowLevel(False)
    shown.GetDisplayNode().SetWindowLevel(1500, -500)
    result = logic.increaseSequence(sequence, factor=2, method="linear")
    logicOfSequences = harness.slicer.modules.sequences.logic()
    browser = logicOfSequences.GetFirstBrowserNodeForSequenceNode(result)
    assert browser is logicOfSequences.GetFirstBrowserNodeForSequenceNode(sequence)
    thin = proxy(harness, result)
    assert (thin.GetDisplayNode().GetWindow(), thin.GetDisplayNode().GetLevel()) == (1500, -500)
    browser.SetSelectedItemNumber(2)
    logicOfSequences.UpdateProxyNodesFromSequences(browser)
    arrays = [harness.slicer.util.arrayFromVolume(node) for node in (shown, thin)]
    assert np.array_equal(arrays[0], arrays[1][::2])
    assert np.array_equal(arrays[0], voxels(harness, sequence)[2])
    assert thin.GetAttribute("CTSliceSynthesis.factor") == "2"  # so that views mark its slices


def test_the_panel_offers_every_frame_where_the_input_is_one_of_several(harness, panel, sequence, makeVolume):
    ui = panel.ui
    choose(panel, makeVolume(name="single"), method="cubic", resolution="3")
    assert ui.everyFrameBox.isHidden()
    choose(panel, proxy(harness, sequence))
    assert not ui.everyFrameBox.isHidden()
    assert ui.everyFrameBox.text == "Every frame of “breath” (3)"
    ui.everyFrameBox.checked = True
    assert ui.planLabel.text.startswith("Each frame: 24 × 20 × 22 voxels")
    assert not ui.outputSelector.enabled
    harness.click(ui.runButton)
    stages = []

    def ended():
        stages.append(ui.stageLabel.text)
        return not panel.logic.session.isRunning

    harness.wait(ended)
    assert any(stage.startswith("Frame 2 of 3") for stage in stages)
    assert ui.messageLabel.text.startswith("“breath x3 cubic” is ready: 3 frames.")
    result = harness.slicer.util.getFirstNodeByClassByName("vtkMRMLSequenceNode", "breath x3 cubic")
    assert panel._parameters.afterVolume is proxy(harness, result)
    assert panel._parameters.beforeVolume is proxy(harness, sequence)
    panel.sections["Compare"].comparison.leave()


def test_without_the_check_the_frame_that_is_shown_is_taken(harness, panel, sequence):
    choose(panel, proxy(harness, sequence), method="cubic", resolution="3")
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    assert sequences(harness) == ["breath"]
    assert "breath x3 cubic" in volumes(harness)


def test_cancel_in_the_middle_keeps_nothing(harness, panel, sequence):
    before = volumes(harness)
    choose(panel, proxy(harness, sequence), method="cubic", everyFrame=True)
    harness.click(panel.ui.runButton)
    harness.wait(lambda: panel.ui.stageLabel.text.startswith("Frame 2 of 3"))
    child = panel.logic.session.childPid
    harness.click(panel.ui.runButton)
    assert not panel.logic.session.isRunning
    assert not alive(child)
    assert sequences(harness) == ["breath"]
    assert volumes(harness) == before
    assert "canceled" in panel.ui.messageLabel.text


def test_closing_the_scene_ends_it(harness, panel, sequence):
    choose(panel, proxy(harness, sequence), method="cubic", everyFrame=True)
    harness.click(panel.ui.runButton)
    child = panel.logic.session.childPid
    harness.closeScene()
    assert not alive(child)
    assert sequences(harness) == []
    assert volumes(harness) == []


def test_an_unsuitable_frame_is_reported_before_anything_starts(harness, logic, makeVolume):
    frames = [makeVolume(name=f"phase {index}") for index in range(3)]
    harness.slicer.util.updateVolumeFromArray(frames[1], np.zeros((8, 20, 24), np.int16))
    found = sequenceOf(harness, frames)
    with pytest.raises(RuntimeError, match="Frame 2 of 3: All voxels have the value 0"):
        logic.increaseSequence(found, factor=2, method="cubic")
    assert sequences(harness) == ["breath"]


def test_a_failure_in_a_later_frame_keeps_nothing(harness, logic, sequence, monkeypatch, tmp_path):
    """A real engine that is killed in its second run."""
    note = tmp_path / "runs"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'ChildProcess.py' in ' '.join(sys.orig_argv):\n"
        f"    open({str(note)!r}, 'a').write('x')\n"
        f"    if len(open({str(note)!r}).read()) == 2: os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = volumes(harness)
    with pytest.raises(RuntimeError, match=r"Frame 2 of 3: .*exit code 3"):
        logic.increaseSequence(sequence, factor=2, method="cubic")
    assert note.read_text() == "xx"
    assert sequences(harness) == ["breath"]
    assert volumes(harness) == before


def test_an_empty_sequence_and_one_of_other_nodes_are_refused(harness, logic):
    slicer = harness.slicer
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    with pytest.raises(RuntimeError, match="“empty” holds no frames"):
        logic.increaseSequence(empty)
    transform = slicer.vtkMRMLLinearTransformNode()
    transform.SetName("move")
    empty.SetDataNodeAtValue(transform, "0")
    with pytest.raises(RuntimeError, match="not a sequence of volumes"):
        logic.increaseSequence(empty)


def test_a_sequence_while_a_run_goes_on_is_refused(harness, logic, sequence, makeVolume):
    logic.increaseResolution(makeVolume(name="other"), factor=2, method="cubic", waitForCompletion=False)
    with pytest.raises(RuntimeError, match="Another run"):
        logic.increaseSequence(sequence, factor=2, method="cubic")
    logic.cancel()


def test_a_sequence_keeps_its_provenance_when_saved_and_loaded(harness, logic, sequence, tmp_path):
    slicer = harness.slicer
    result = logic.increaseSequence(sequence, factor=2, method="cubic")
    for node in (sequence, result):
        assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetName()}.seq.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    harness.closeScene()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    harness.console.clear()  # the displayed frames have no files of their own
    loaded = slicer.util.getFirstNodeByClassByName("vtkMRMLSequenceNode", "breath x2 cubic")
    assert loaded.GetNumberOfDataNodes() == 3
    assert loaded.GetAttribute("CTSliceSynthesis.method") == "cubic"
    assert "estimates" in loaded.GetAttribute("CTSliceSynthesis.note")
    sequenceLogic = slicer.modules.sequences.logic()
    sequenceLogic.UpdateProxyNodesFromSequences(sequenceLogic.GetFirstBrowserNodeForSequenceNode(loaded))
    shown = proxy(harness, loaded)
    widget = slicer.app.layoutManager().sliceWidget("Red")
    widget.mrmlSliceNode().SetOrientation("Axial")
    widget.mrmlSliceNode().SetSliceOffset(world(shown, (0, 0, 1))[2])
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(shown.GetID())
    mark = widget.sliceView().cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge)
    assert mark == "synthesized between\nacquired slices 1 and 2"
