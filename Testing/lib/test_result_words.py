"""Provenance of a result: name, attributes and related volumes, saved in scenes and in NRRD headers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_panel_run import choose, finish, volumes

HU = 4095  # the expected error of the calibrated weights below everywhere: the maximum

CALIBRATED = """
import sys
from CTSliceSynthesisEngine.networks.checkpoint import Model, save
from CTSliceSynthesisEngine.networks.expected_error import TERMS, ExpectedError
from CTSliceSynthesisEngine.networks.recipes import PRESETS
model = Model.untrained(PRESETS["tiny"])
save(model, sys.argv[1] + "/plain.pt")
model.expected_error = ExpectedError((20.0, *[0.0] * (TERMS - 1)))
save(model, sys.argv[1] + "/calibrated.pt")
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights files of the smallest networks, "calibrated" and "plain", written by a child process."""
    folder = tmp_path_factory.mktemp("weights")
    engine = Path(sys.modules["CTSliceSynthesisLib"].__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(engine)}
    subprocess.run([sys.executable, "-c", CALIBRATED, str(folder)], check=True, env=environment)
    return {name: str(folder / f"{name}.pt") for name in ("calibrated", "plain")}


def facts(node):
    names = [name for name in node.GetAttributeNames() if name.startswith("CTSliceSynthesis.")]
    return {name.removeprefix("CTSliceSynthesis."): node.GetAttribute(name) for name in names}


def test_a_result_says_how_it_was_made(harness, logic, makeVolume, weights):
    source = makeVolume()
    thin = logic.increaseResolution(source, factor=3, model=weights["plain"])
    said = facts(thin)
    assert said.pop("version")
    assert len(said.pop("model_sha256")) == 64
    assert said.pop("model")
    assert said == {
        "method": "three-view",
        "factor": "3",
        "slice_axis": "k",
        "texture": "estimate",
        "note": "synthesized slices are estimates; for research use",
    }
    assert thin.GetNodeReference("CTSliceSynthesis.source") is source


def test_the_expected_error_is_kept_on_request(harness, logic, makeVolume, weights):
    outcomes = []
    thin = logic.increaseResolution(
        makeVolume(), factor=3, model=weights["calibrated"], expectedError=True, onFinished=outcomes.append
    )
    doubt = outcomes[0].expectedError
    assert doubt.GetName() == "scan x3 expected error"
    assert doubt.GetAttribute("CTSliceSynthesis.content") == "expected error in HU"
    assert thin.GetNodeReference("CTSliceSynthesis.expectedError") is doubt
    voxels = harness.slicer.util.arrayFromVolume(doubt)
    assert voxels.dtype == np.int16
    assert not voxels[::3].any()  # acquired slices are not estimates
    assert set(np.unique(np.delete(voxels, np.s_[::3], 0))) == {HU}


def test_a_model_without_a_calibration_refuses_the_expected_error(harness, logic, makeVolume, weights):
    with pytest.raises(RuntimeError, match="cannot estimate its errors"):
        logic.increaseResolution(makeVolume(), model=weights["plain"], expectedError=True)
    assert volumes(harness) == ["scan"]


def test_the_panel_keeps_the_expected_error_of_a_model_that_has_it(harness, panel, makeVolume, weights, monkeypatch):
    from CTSliceSynthesisLib.Setup import Models

    node = makeVolume()
    choose(panel, node)
    assert panel.ui.keepExpectedErrorBox.enabled  # the bundled model says so in its card
    choose(panel, node, model=weights["plain"])
    assert not panel.ui.keepExpectedErrorBox.enabled
    monkeypatch.setattr(Models, "knowsItsError", lambda name: name == weights["calibrated"])  # as its card would say
    choose(panel, node, model=weights["calibrated"])
    assert panel.ui.keepExpectedErrorBox.enabled
    assert panel.ui.keepExpectedErrorBox.checked
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    assert "scan x2 expected error" in volumes(harness)
    panel.sections["Compare"].comparison.leave()


def test_even_texture_is_recorded_in_the_name_and_the_attributes(harness, panel, logic, makeVolume, weights):
    node = makeVolume()
    plain = logic.increaseResolution(node, factor=2, model=weights["plain"])
    choose(panel, node, model=weights["plain"])
    assert not panel.ui.evenTextureBox.checked
    panel.ui.evenTextureBox.checked = True
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    even = harness.slicer.util.getNode("scan x2 even texture")
    assert even.GetAttribute("CTSliceSynthesis.texture") == "even"
    arrays = [harness.slicer.util.arrayFromVolume(volume) for volume in (node, plain, even)]
    assert np.array_equal(arrays[2][::2], arrays[0])
    assert not np.array_equal(arrays[2], arrays[1])
    panel.sections["Compare"].comparison.leave()


def test_thinned_acquired_slices_are_recorded_in_name_attributes_and_labels(harness, panel, makeVolume, weights):
    from CTSliceSynthesisLib.Scene import Origin
    from CTSliceSynthesisLib.Views.SliceKinds import inWords

    node = makeVolume()
    choose(panel, node, model=weights["plain"], thickness=5.0)
    assert not panel.ui.thinAcquiredBox.checked
    panel.ui.thinAcquiredBox.checked = True
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    made = harness.slicer.util.getNode("scan x2 all thin")
    assert facts(made)["acquired"] == "thin"
    stack = Origin.stackOf(made)
    assert inWords(stack, 2, 2) == "thin estimate replacing\nacquired slice 2"
    assert inWords(stack, 0, 4) == "synthesized between\nacquired slices 1 and 3"
    before, after = (harness.slicer.util.arrayFromVolume(volume) for volume in (node, made))
    assert after.shape[0] == 2 * before.shape[0] - 1
    panel.sections["Compare"].comparison.leave()


def test_network_only_outputs_are_not_requested_from_other_methods(harness, panel, makeVolume):
    choose(panel, makeVolume(), method="cubic", keepDisagreement=True, evenTexture=True, thinAcquired=True)
    ui = panel.ui
    for box in (ui.keepExpectedErrorBox, ui.keepDisagreementBox, ui.evenTextureBox, ui.thinAcquiredBox):
        assert not box.enabled
    harness.click(panel.ui.runButton)
    finish(harness, panel)
    assert volumes(harness) == ["scan", "scan x2 cubic"]
    panel.sections["Compare"].comparison.leave()


def test_a_replaced_result_has_the_new_provenance(harness, logic, makeVolume, weights):
    target = makeVolume(name="mine")
    source = makeVolume()
    logic.increaseResolution(source, factor=3, model=weights["calibrated"], outputNode=target, expectedError=True)
    assert target.GetNodeReference("CTSliceSynthesis.expectedError") is not None
    logic.increaseResolution(source, factor=2, method="cubic", outputNode=target)
    assert facts(target)["method"] == "cubic"
    assert "model" not in facts(target)
    assert target.GetNodeReference("CTSliceSynthesis.expectedError") is None


@pytest.fixture
def result(logic, makeVolume, weights):
    return logic.increaseResolution(makeVolume(), factor=3, model=weights["calibrated"], expectedError=True)


def test_provenance_and_related_volumes_are_kept_in_a_saved_scene(harness, result, tmp_path):
    slicer, before = harness.slicer, facts(result)
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetName()}.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    harness.closeScene()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    checkLoaded(slicer, before)


def test_provenance_and_related_volumes_are_kept_in_a_scene_bundle(harness, result, tmp_path):
    slicer, before = harness.slicer, facts(result)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    harness.closeScene()
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    checkLoaded(slicer, before)


def checkLoaded(slicer, before):
    loaded = slicer.util.getNode("scan x3")
    assert facts(loaded) == before
    assert len(before) == 8
    assert loaded.GetNodeReference("CTSliceSynthesis.source").GetName() == "scan"
    assert loaded.GetNodeReference("CTSliceSynthesis.expectedError").GetName() == "scan x3 expected error"


def test_an_nrrd_file_of_a_result_has_the_provenance_in_its_header(harness, logic, result, tmp_path):
    import SimpleITK

    path = tmp_path / "Dünn 薄.nrrd"
    logic.save(result, path)
    header = path.read_bytes().partition(b"\n\n")[0].decode()
    for name, value in facts(result).items():
        assert f"CTSliceSynthesis.{name}:={value}" in header
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), harness.slicer.util.arrayFromVolume(result))
    assert image.GetMetaData("CTSliceSynthesis.note").endswith("for research use")
    again = harness.slicer.util.loadVolume(str(path))
    assert harness.slicer.util.arrayFromVolume(again).shape == harness.slicer.util.arrayFromVolume(result).shape
    assert np.allclose(again.GetSpacing(), result.GetSpacing())
    assert np.allclose(again.GetOrigin(), result.GetOrigin())


def test_a_file_without_provenance_or_that_cannot_be_written_is_refused(harness, logic, result, tmp_path):
    from CTSliceSynthesisEngine.errors import SynthesisError

    with pytest.raises(SynthesisError, match="Only NRRD files"):
        logic.save(result, tmp_path / "thin.nii.gz")
    with pytest.raises(SynthesisError, match="could not be written"):
        logic.save(result, tmp_path / "nowhere" / "thin.nrrd")
    assert any("nowhere" in line for line in harness.console)  # VTK reports it, too
    harness.console.clear()
    assert list(tmp_path.iterdir()) == []
