"""Models: selecting them, reading cards, adding files of any kind, and removing; through the panel's buttons."""

import json
import pickle
import zipfile

import pytest

CARD = {
    "summary": "made <b>bold</b> by <img src='x' onerror='alert(1)'> nobody",
    "data": [{"scan": "a & b", "source": "not given", "licence": "CC0"}, "a line", None],
    "limits": "not a list",
    "figures": [{"way": "three-view", "gain_db": "many"}, 7],
    "verdict": {"passed": True, "sentence": "Passed: at least +0.40 dB.", "scans": [{"scan": "c", "gain_db": 0.4}, 3]},
}


@pytest.fixture
def ui(panel, modelFolder):
    found = panel.sections["Models"].ui
    found.modelsSection.collapsed = False
    found.modelsMessage.text = ""
    panel._parameters.Modified()
    yield found
    found.modelsSection.collapsed = True


def rows(box):
    return [box.itemText(index) for index in range(box.count)]


def add(harness, panel, ui, path):
    harness.choose(path)
    harness.click(ui.addModelButton)
    harness.wait(lambda: not panel.logic.inspection.isRunning)


def test_the_card_shows_data_licenses_metrics_and_limits(panel, ui):
    text = ui.modelCard.plainText
    for word in ("compact", "Limits", "Learned from", "CC BY 4.0", "TCIA", "dB PSNR", "SHA-256", "Apache-2.0"):
        assert word in text


def test_the_card_lists_the_training_scans_of_the_initial_weights(
    harness, panel, ui, modelFolder, writeWeights, tmp_path
):
    earlier = {"data": [{"scan": "e", "source": "Earlier study", "licence": "CC BY 3.0"}, "a line"]}
    add(harness, panel, ui, writeWeights(tmp_path / "later.pt", {**CARD, "started_from": earlier}))
    text = ui.modelCard.plainText
    assert "Earlier study (licence CC BY 3.0)" in text
    assert text.count("a line") == 1  # both learned from it


def test_a_model_from_a_file_is_added_selected_everywhere_and_used(
    harness, panel, ui, modelFolder, writeWeights, tmp_path, makeVolume
):
    add(harness, panel, ui, writeWeights(tmp_path / "mine.pt", CARD))
    assert panel._parameters.model == "mine"
    assert rows(ui.chosenModelBox) == rows(panel.ui.modelBox) == ["compact", "quality", "mine"]
    assert ui.chosenModelBox.currentText == panel.ui.modelBox.currentText == "mine"
    assert ui.modelsMessage.text == "“mine” was added to the models. Passed: at least +0.40 dB."
    entry = json.loads((modelFolder / "models.json").read_text())["models"][0]
    assert (entry["name"], entry["file"], len(entry["sha256"])) == ("mine", "mine/mine.pt", 64)
    (tmp_path / "mine.pt").unlink()
    panel._parameters.inputVolume = makeVolume()
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x2").GetAttribute("CTSliceSynthesis.model_sha256") == entry["sha256"]


def test_a_card_of_any_content_is_shown_as_text(harness, panel, ui, writeWeights, tmp_path):
    add(harness, panel, ui, writeWeights(tmp_path / "mine.pt", CARD))
    assert "made <b>bold</b> by <img src='x'" in ui.modelCard.plainText
    assert "<img" not in ui.modelCard.html
    assert "a & b (licence CC0)" in ui.modelCard.plainText
    add(harness, panel, ui, writeWeights(tmp_path / "odd.pt", {"data": {}, "training": 3, "verdict": "yes"}, 0.01))
    assert "no information about its training" in ui.modelCard.plainText
    assert "check it on a scan before you trust it" in ui.modelsMessage.text


def test_both_selectors_show_the_same_choice(harness, panel, ui, writeWeights, tmp_path):
    panel.logic.addModel(str(writeWeights(tmp_path / "mine.pt")))
    panel._parameters.Modified()
    assert panel._parameters.model == "compact"
    ui.chosenModelBox.setCurrentIndex(2)
    assert panel.ui.modelBox.currentText == "mine"
    panel.ui.modelBox.setCurrentIndex(0)
    assert ui.chosenModelBox.currentText == "compact"
    assert not ui.bundledModelButton.enabled
    ui.chosenModelBox.setCurrentIndex(2)
    harness.click(ui.bundledModelButton)
    assert panel._parameters.model == "compact"


def test_a_model_that_failed_is_not_added_and_the_choice_is_kept(
    harness, panel, ui, modelFolder, writeWeights, tmp_path
):
    card = {"verdict": {"passed": False, "sentence": "Failed: it lost on one scan."}}
    seen = []
    harness.answer("Ok", seen)
    add(harness, panel, ui, writeWeights(tmp_path / "lost.pt", card))
    assert seen == ["“lost.pt” was measured after its training and is not added. Failed: it lost on one scan."]
    assert panel._parameters.model == "compact"
    assert rows(ui.chosenModelBox) == ["compact", "quality"]
    assert not modelFolder.exists()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


def asArchive(path, trace):
    """A file in PyTorch's format, with code in place of the weights."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"format": 1, "card": Hostile(trace)}, protocol=2))
        archive.writestr("evil/version", "3\n")
        archive.writestr("evil/byteorder", "little")


@pytest.mark.parametrize("kind", ["archive", "pickle", "text", "folder"])
def test_an_untrusted_file_only_gives_a_message(harness, panel, ui, modelFolder, tmp_path, kind):
    path, trace, seen = tmp_path / "evil.pt", tmp_path / "trace", []
    if kind == "archive":
        asArchive(path, trace)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Hostile(trace)))
    elif kind == "text":
        path.write_text("no weights")
    else:
        path.mkdir()
    harness.answer("Ok", seen)
    add(harness, panel, ui, path)
    assert len(seen) == 1 and seen[0].count("\n") == 0 and "evil.pt" in seen[0]
    assert not trace.exists()
    assert not modelFolder.exists()
    assert panel._parameters.model == "compact"
    assert ui.addModelButton.enabled


def test_without_a_selected_file_nothing_is_done(harness, panel, ui):
    add(harness, panel, ui, "")
    assert ui.modelsMessage.text == ""
    assert not panel.logic.inspection.isRunning


def test_a_file_that_was_changed_afterwards_is_not_used(
    harness, panel, ui, modelFolder, writeWeights, tmp_path, makeVolume
):
    add(harness, panel, ui, writeWeights(tmp_path / "mine.pt"))
    panel._parameters.inputVolume = makeVolume()
    assert panel.ui.runButton.enabled
    writeWeights(modelFolder / "mine" / "mine.pt", size=0.5)
    panel.increasePanel.refresh()
    assert not panel.ui.runButton.enabled
    assert "is not the one that was added (its SHA-256 differs)" in harness.tip(panel.ui.runButton)
    with pytest.raises(RuntimeError, match="SHA-256 differs"):
        panel.logic.increaseResolution(panel._parameters.inputVolume, factor=2, model="mine")


def test_the_same_file_is_added_once_and_another_of_the_same_name_gets_a_number(
    harness, panel, ui, writeWeights, tmp_path
):
    path = writeWeights(tmp_path / "mine.pt")
    assert panel.logic.addModel(str(path)) == panel.logic.addModel(str(path)) == "mine"
    assert panel.logic.addModel(str(writeWeights(path, size=0.01))) == "mine 2"
    named = writeWeights(tmp_path / "compact.pt", size=0.02)
    assert panel.logic.addModel(str(named)) == "compact 2"


def test_the_folder_is_opened_and_emptied_after_confirmation(harness, panel, ui, modelFolder, writeWeights, tmp_path):
    assert not ui.emptyModelsButton.enabled
    add(harness, panel, ui, writeWeights(tmp_path / "mine.pt"))
    harness.click(ui.openModelsButton)
    assert harness.opened() == [str(modelFolder)]
    seen = []
    harness.answer("Cancel", seen)
    harness.click(ui.emptyModelsButton)
    assert "(mine)" in seen[0]
    assert (modelFolder / "mine" / "mine.pt").exists()
    harness.answer("Ok")
    harness.click(ui.emptyModelsButton)
    assert list(modelFolder.iterdir()) == []
    assert panel._parameters.model == "compact"
    assert rows(panel.ui.modelBox) == ["compact", "quality"]


@pytest.mark.parametrize("content", ["", "[]", '{"models": 3}', '{"models": [{"name": "x"}, 3]}'])
def test_an_invalid_registry_does_not_hide_bundled_models(panel, ui, modelFolder, content):
    modelFolder.mkdir(parents=True)
    (modelFolder / "models.json").write_text(content)
    panel._parameters.Modified()
    assert rows(ui.chosenModelBox) == ["compact", "quality"]


def test_an_entry_that_points_outside_the_folder_is_ignored(panel, ui, modelFolder, writeWeights, tmp_path):
    panel.logic.addModel(str(writeWeights(tmp_path / "mine.pt")))
    registry = modelFolder / "models.json"
    registry.write_text(registry.read_text().replace("mine/mine.pt", "../../elsewhere.pt"))
    panel._parameters.Modified()
    assert rows(ui.chosenModelBox) == ["compact", "quality"]


def test_a_scene_with_a_model_of_another_computer_is_reported(harness, panel, ui, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    panel._parameters.model = "theirs"
    assert "There is no model “theirs”: choose one of compact, quality." in harness.tip(panel.ui.runButton)
    assert "There is no model “theirs”" in ui.modelCard.plainText
    assert ui.bundledModelButton.enabled
