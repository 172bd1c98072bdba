"""Runs through the panel's button: real scene, real child process, real engine."""

import os
import signal
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from slicer_harness import launcher


def volumes(harness):
    return [node.GetName() for node in harness.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def choose(panel, node, **choices):
    panel._parameters.inputVolume = node
    for name, value in choices.items():
        panel._parameters.setValue(name, value)


def finish(harness, panel):
    harness.wait(lambda: not panel.logic.session.isRunning)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_click_creates_the_thin_volume_and_shows_it_next_to_the_thick_one(harness, panel, thickSample):
    slicer = harness.slicer
    choose(panel, thickSample, resolution="4")
    seen = []
    harness.click(panel.ui.runButton)
    assert panel.ui.runButton.text == "Cancel"

    def ended():
        seen.append(panel.ui.progressBar.value)
        return not panel.logic.session.isRunning

    harness.wait(ended)
    running = seen[:-1]
    assert running == sorted(running)
    assert len(set(running)) >= 3  # the bar was seen moving
    before = slicer.util.arrayFromVolume(thickSample)
    thin = slicer.util.getNode("thick sample x4")
    after = slicer.util.arrayFromVolume(thin)
    assert after.shape == ((len(before) - 1) * 4 + 1, *before.shape[1:])
    assert after.dtype == before.dtype
    assert np.array_equal(after[::4], before)
    assert panel.ui.runButton.text == "Increase slice resolution"
    assert "is ready" in panel.ui.messageLabel.text
    manager = slicer.app.layoutManager()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    shown = [manager.sliceWidget(name).mrmlSliceCompositeNode() for name in ("Red", "Yellow")]
    assert [one.GetBackgroundVolumeID() for one in shown] == [thickSample.GetID(), thin.GetID()]
    assert all(one.GetLinkedControl() for one in shown)
    assert thin.GetAttribute("CTSliceSynthesis.model") == "compact"
    assert "estimates" in thin.GetAttribute("CTSliceSynthesis.note")


def test_two_runs_in_a_row_make_two_volumes_and_two_at_once_are_refused(harness, panel, logic, makeVolume):
    choose(panel, makeVolume(), method="cubic", resolution="3")
    for _ in range(2):
        harness.click(panel.ui.runButton)
        with pytest.raises(RuntimeError, match="Another run"):
            panel.logic.increaseResolution(makeVolume(name="other"), factor=2, method="cubic")
        harness.slicer.mrmlScene.RemoveNode(harness.slicer.util.getNode("other"))
        finish(harness, panel)
    assert volumes(harness) == ["scan", "scan x3 cubic", "scan x3 cubic_1"]


SPAWN = """
import subprocess, sys
if "ChildProcess.py" in " ".join(sys.orig_argv):
    pid = subprocess.Popen(["sleep", "600"]).pid
    open({path!r}, "w").write(str(pid))
"""


def test_cancel_kills_the_child_and_its_descendants_and_leaves_nothing(
    harness, panel, thickSample, tmp_path, monkeypatch
):
    """The real engine, in a Python that also starts a process of its own."""
    note = tmp_path / "grandchild"
    (tmp_path / "sitecustomize.py").write_text(SPAWN.format(path=str(note)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    choose(panel, thickSample, resolution="8")
    harness.click(panel.ui.runButton)
    session = panel.logic.session
    child, folder = session.childPid, session.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "thick.nrrd").exists()
    harness.wait(lambda: panel.ui.progressBar.value > 0 and note.exists() and note.read_text())
    grandchild = int(note.read_text())
    assert alive(child)
    assert alive(grandchild)
    harness.click(panel.ui.runButton)
    assert not session.isRunning
    assert not alive(child)
    harness.wait(lambda: not alive(grandchild), seconds=10)
    assert not folder.exists()
    assert volumes(harness) == ["thick sample"]
    assert "canceled" in panel.ui.messageLabel.text
    assert panel.ui.progressBar.isHidden()


def test_closing_the_scene_in_the_middle_ends_the_run(harness, panel, thickSample):
    choose(panel, thickSample)
    harness.click(panel.ui.runButton)
    child, folder = panel.logic.session.childPid, panel.logic.session.folder
    harness.closeScene()
    assert not alive(child)
    assert not folder.exists()
    assert volumes(harness) == []
    assert "scene was closed" in panel.ui.messageLabel.text
    assert not panel.ui.runButton.enabled
    assert harness.tip(panel.ui.runButton) == "Choose an input volume."


def test_the_child_ends_and_cleans_up_when_slicer_is_gone(harness, logic, thickSample):
    logic.increaseResolution(thickSample, waitForCompletion=False)
    run = logic.session._run
    child, folder = run.worker.pid, run.folder
    time.sleep(0.5)  # its bootstrap code has started
    logic.session._timer.stop()
    run.worker._process.stdin.close()  # what the system does when Slicer crashes
    run.worker._process.wait(60)
    assert run.worker.exitCode == -signal.SIGKILL
    assert not folder.exists()
    assert not alive(child)
    logic.session._run = None


def test_the_module_unloaded_at_exit_ends_the_run(harness, thickSample, monkeypatch):
    slicer = harness.slicer
    monkeypatch.setattr(slicer.modules, "CTSliceSynthesisWidget", None, raising=False)  # restored after the test
    extra = slicer.qSlicerScriptedLoadableModuleWidget(slicer.modules.ctslicesynthesis)
    extra.make()
    widget = extra.self()
    widget.logic.increaseResolution(thickSample, waitForCompletion=False)
    child = widget.logic.session.childPid
    widget._onModuleAboutToBeUnloaded("CTSliceSynthesis")
    assert not alive(child)
    assert not widget.logic.session.isRunning


MEMORY = "Often the memory has run out"


@pytest.mark.parametrize(("number", "isMemory"), [(signal.SIGKILL, True), (signal.SIGSEGV, False)])
def test_a_child_killed_by_a_signal_is_reported_with_the_end_of_its_log(harness, panel, thickSample, number, isMemory):
    """Slicer's launcher is in between and turns each signal into exit code 1."""
    choose(panel, thickSample, resolution="8")
    seen = []
    harness.click(panel.ui.runButton)
    session = panel.logic.session
    harness.wait(lambda: session._run.tracker._share > 0.04)  # it is running
    harness.answer("Ok", seen)
    os.kill(launcher.launched(session.childPid), number)
    finish(harness, panel)
    assert "ended with exit code 1" in panel.ui.messageLabel.text
    assert (MEMORY in panel.ui.messageLabel.text) == isMemory
    assert "exit abnormally" in seen[0]
    assert volumes(harness) == ["thick sample"]


def test_without_a_launcher_the_signal_is_named(harness, logic, makeVolume, monkeypatch, tmp_path):
    replaceChild(monkeypatch, tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(sys, "executable", sys._base_executable)
    with pytest.raises(RuntimeError, match=f"signal SIGKILL, without a result. {MEMORY}"):
        logic.increaseResolution(makeVolume(), method="cubic")


def replaceChild(monkeypatch, tmp_path, code):
    """Let the session start this code instead of the engine."""
    folder = tmp_path / "CTSliceSynthesisLib" / "Processes"
    folder.mkdir(parents=True)
    (folder / "ChildProcess.py").write_text(code)
    monkeypatch.setattr(sys.modules["CTSliceSynthesisLib.Processes.Task"], "MODULE_FOLDER", tmp_path)


FAILING = {
    "garbage": ("print('no json', flush=True); print(b'\\xff\\xfe'); raise SystemExit(0)", "without a result"),
    "half a result": ('print(\'{"version": 1, "event": "result"}\')', "could not be read"),
    "an unknown event": ('print(\'{"event": "party"}\'); raise SystemExit(3)', "exit code 3"),
    "other JSON": ("print('[1, 2]'); print('{\"event\": 7}'); raise SystemExit(1)", "exit code 1"),
    "a traceback": ("raise RuntimeError('engine broke')", "engine broke"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_child_with_invalid_output_fails_and_leaves_nothing(harness, logic, makeVolume, monkeypatch, tmp_path, kind):
    code, word = FAILING[kind]
    replaceChild(monkeypatch, tmp_path, code)
    with pytest.raises(RuntimeError, match=word):
        logic.increaseResolution(makeVolume(), method="cubic")
    assert volumes(harness) == ["scan"]


def test_a_silent_child_is_stopped(harness, logic, makeVolume, monkeypatch, tmp_path):
    replaceChild(monkeypatch, tmp_path, "import time; time.sleep(600)")
    logic.session.silenceSeconds = 0.5
    with pytest.raises(RuntimeError, match="has been silent for"):
        logic.increaseResolution(makeVolume(), method="cubic")


def test_a_child_with_endless_output_is_stopped_before_it_fills_the_disk(
    harness, logic, makeVolume, monkeypatch, tmp_path
):
    monkeypatch.setattr(sys.modules["CTSliceSynthesisLib.Processes.Worker"], "MOST_OUTPUT", 1 << 20)
    replaceChild(monkeypatch, tmp_path, "while True: print('x' * 1000)")
    with pytest.raises(RuntimeError, match="wrote output without end"):
        logic.increaseResolution(makeVolume(), method="cubic")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are POSIX's")
@pytest.mark.parametrize(
    ("limit", "word"), [(20_000, "could not be started"), (120_000, "could not be written completely")]
)
def test_a_full_disk_is_reported_and_leaves_nothing(harness, logic, makeVolume, limit, word):
    """A limit of the file size simulates a full disk: the first is reached by the panel, the second by the engine."""
    import resource

    node = makeVolume(size=(60, 50, 10))  # 60 kB; the result is eight times that
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(RuntimeError, match=word):
            logic.increaseResolution(node, factor=8, method="cubic")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert volumes(harness) == ["scan"]


def test_an_engine_error_is_shown_in_the_panels_wording(harness, panel, thickSample, tmp_path, monkeypatch):
    """A real engine in which PyTorch cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    choose(panel, thickSample)
    seen = []
    harness.click(panel.ui.runButton)
    harness.answer("Ok", seen)
    finish(harness, panel)
    assert "needs PyTorch" in seen[0]
    assert "--method" not in seen[0]
    assert "pip" not in panel.ui.messageLabel.text


def test_paths_with_letters_of_any_alphabet_work(harness, logic, makeVolume, monkeypatch):
    strange = Path(harness.slicer.app.temporaryPath) / "Müller 放射線 α"
    strange.mkdir()
    monkeypatch.setattr(type(harness.slicer.app), "temporaryPath", property(lambda self: str(strange)))
    node = logic.increaseResolution(makeVolume(name="Schädel 頭"), factor=2, method="cubic")
    assert node.GetName() == "Schädel 頭 x2 cubic"
    assert list(strange.iterdir()) == []


def test_the_input_may_be_removed_during_the_run(harness, panel, makeVolume):
    node = makeVolume()
    choose(panel, node, method="cubic")
    harness.click(panel.ui.runButton)
    harness.slicer.mrmlScene.RemoveNode(node)
    finish(harness, panel)
    assert volumes(harness) == ["scan x2 cubic"]


def test_a_chosen_output_is_replaced_on_success_only(harness, panel, makeVolume):
    target = makeVolume(size=(5, 5, 5), name="mine")
    old = harness.slicer.util.arrayFromVolume(target).copy()
    choose(panel, makeVolume(), method="cubic", outputVolume=target)
    harness.click(panel.ui.runButton)
    harness.click(panel.ui.runButton)  # cancel
    assert np.array_equal(harness.slicer.util.arrayFromVolume(target), old)
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    assert harness.slicer.util.arrayFromVolume(target).shape == (15, 20, 24)
    assert volumes(harness) == ["mine", "scan"]


def test_the_disagreement_is_kept_on_request(harness, panel, thickSample):
    choose(panel, thickSample, keepDisagreement=True)
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    spread = harness.slicer.util.getNode("thick sample x2 disagreement")
    voxels = harness.slicer.util.arrayFromVolume(spread)
    assert voxels.dtype == np.int16
    assert not voxels[::2].any()  # acquired slices are not estimates
    assert voxels[1::2].any()


def test_a_script_may_name_a_weights_file(harness, logic, makeVolume, tinyWeights):
    thin = logic.increaseResolution(makeVolume(), factor=3, model=str(tinyWeights), device="cpu")
    assert thin.GetName() == "scan x3"
    assert len(thin.GetAttribute("CTSliceSynthesis.model_sha256")) == 64
    with pytest.raises(RuntimeError, match="no model “none"):
        logic.increaseResolution(makeVolume(), model="none.pt")


def test_a_damaged_weights_file_is_reported_and_leaves_nothing(harness, logic, makeVolume, tmp_path):
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    with pytest.raises(RuntimeError, match=r"bad\.pt"):
        logic.increaseResolution(makeVolume(), model=str(tmp_path / "bad.pt"))
    assert volumes(harness) == ["scan"]


def test_pytorch_never_enters_the_process_of_the_panel(harness, panel, thickSample):
    assert "torch" not in sys.modules
