"""Training data, early refusals, and training from scripts: real child process, real trainer."""

import time
from pathlib import Path

import numpy as np
import pytest
from test_train_panel import MANY, finish, learning, train


@pytest.fixture
def ui(trainUi):
    return trainUi


def test_scans_of_the_scene_are_used_for_training_but_not_estimates(harness, panel, ui, modelFolder, makeVolume, steps):
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
    assert "estimates cannot be learned from" in harness.tip(ui.adaptButton)


def rubbish(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("no scan")
    (folder / "cut.nrrd").write_bytes(b"NRRD0004\n")
    return folder


def test_a_folder_without_valid_scans_gives_a_message_and_leaves_nothing(harness, panel, ui, modelFolder, tmp_path):
    seen = []
    train(harness, ui, rubbish(tmp_path / "rubbish"))
    harness.answer("Ok", seen)
    finish(harness, panel)
    assert len(seen) == 1
    assert "none to learn from" in seen[0]
    assert "--" not in seen[0]
    assert list(modelFolder.iterdir()) == []
    assert ui.resumeButton.isHidden()


def test_an_empty_or_missing_folder_is_reported_before_anything_starts(harness, panel, ui, modelFolder, tmp_path):
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


def test_scripts_can_train_and_adapt(harness, logic, modelFolder, cohort, chest, makeVolume):
    events = []
    adapted = logic.adapt(chest, steps=1, onProgress=events.append)
    assert adapted.passed is True and "Passed: " in adapted.verdict
    assert adapted.verdict.startswith(("Kept: ", "Not kept: "))  # by slices left out of this scan
    assert {event["stage"] for event in events} >= {"scans", "train", "measure"}
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


def test_thickness_and_patient_of_dicom_volumes_are_passed_on(makeVolume, monkeypatch, tmp_path):
    import slicer
    from CTSliceSynthesisLib.Processes import TrainingScans

    class Database:
        """Stub of the DICOM database, which needs the application."""

        def instanceValue(self, uid, tag):
            return {"0018,0050": "3.0", "0010,0020": "S3CR3T"}[tag]

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    nodes = [makeVolume(name="one"), makeVolume(name="one", seed=1)]
    nodes[0].SetAttribute("DICOM.instanceUIDs", "1.1 1.2")
    arguments = TrainingScans.writeForChild(nodes, tmp_path)
    assert sorted(path.name for path in (tmp_path / "scans").iterdir()) == ["scan 1.nrrd", "scan 2.nrrd"]
    rows = Path(arguments[2]).read_text().splitlines()
    assert len(rows) == 2 and rows[1].startswith("scan 1,3.0,")
    assert "S3CR3T" not in rows[1] and len(rows[1].split(",")[-1]) == 16
    (tmp_path / "again").mkdir()
    again = Path(TrainingScans.writeForChild(nodes, tmp_path / "again")[2]).read_text().splitlines()
    assert again[1].rpartition(",")[0] == rows[1].rpartition(",")[0]
    assert again[1] != rows[1]  # identifiers cannot be recovered by trying candidates


def test_a_thickness_from_numpy_is_a_number_like_any_other(makeVolume, logic, tmp_path):
    from CTSliceSynthesisLib.Processes import TrainingScans

    assert TrainingScans.writeOneForChild(makeVolume(), tmp_path, np.float64(5))[1:] == ["--thickness", "5.0"]
    thin = logic.increaseResolution(makeVolume(), factor=2, method="cubic", thickness=np.float64(5))
    assert thin.GetAttribute("CTSliceSynthesis.method") == "cubic"


def test_volumes_with_slices_closer_than_their_pixels_are_refused(makeVolume):
    from CTSliceSynthesisLib.Processes import TrainingScans

    node = makeVolume(spacing=(0.8, 0.8, 0.5))
    node.SetAttribute("DICOM.instanceUIDs", "1.1")
    assert "closer than its pixels" in TrainingScans.problem(node)


def test_a_second_training_waits_for_the_first(harness, panel, ui, modelFolder, cohort, steps):
    steps(MANY)
    train(harness, ui, cohort)
    with pytest.raises(RuntimeError, match="Another training is in progress"):
        panel.logic.train(str(cohort), name="other")
    assert not (modelFolder / "other").exists()
    folder = panel.logic.training.folder
    panel.logic.stopTraining()
    assert not panel.logic.training.isRunning and not folder.exists()
    models = panel.sections["Models"].ui
    assert models.emptyModelsButton.enabled
    time.sleep(0.1)
    assert np.all([path.name != "other" for path in modelFolder.iterdir()])
