"""Checkpoint files: atomic, strictly checked, never executed."""

import hashlib
import io
import json
import pickle
import shutil

import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks import checkpoint, recipes, registry
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS


def refused(path, word):
    with pytest.raises(SynthesisError, match=word) as caught:
        load(path)
    assert caught.value.reason == "bad-model"
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def changed(tiny_weights, path, **entries):
    """Write a copy of a valid file with other entries; None removes one."""
    stored = torch.load(tiny_weights, weights_only=True) | entries
    torch.save({name: value for name, value in stored.items() if value is not None}, path)
    return path


@pytest.mark.parametrize("name", ["tiny", "published-narrow"])
def test_a_saved_model_is_loaded_unchanged(tmp_path, name):
    model = Model.untrained(PRESETS[name])
    model.fusion, model.card = (0.4, 0.3, 0.3), {"summary": "für Tests", "data": [{"scan": "one"}]}
    digest = save(model, tmp_path / "model.pt")
    actual = load(tmp_path / "model.pt")
    assert digest == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest() == actual.sha256
    assert (actual.recipe, actual.fusion, actual.card) == (model.recipe, model.fusion, model.card)
    assert actual.name == "model.pt"
    weights = actual.networks.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.networks.state_dict().items())
    assert not actual.networks.training


def test_a_missing_file_is_refused_with_a_remedy(tmp_path):
    assert "the name of a bundled model" in refused(tmp_path / "none.pt", "cannot be read")
    refused(tmp_path, "cannot be read")
    refused("no-such-model", "no-such-model cannot be read")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, tiny_weights, share):
    content = tiny_weights.read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: int(share * len(content))])
    refused(tmp_path / "cut.pt", "damaged")


def test_arbitrary_bytes_are_refused(tmp_path):
    (tmp_path / "noise.pt").write_bytes(bytes(range(256)) * 20)
    refused(tmp_path / "noise.pt", "damaged, or not a weights file")


class Code:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_executed(tmp_path, zipped):
    buffer, trace = io.BytesIO(), tmp_path / "executed"
    if zipped:
        torch.save({"format": 1, "weights": Code(trace)}, buffer)
    else:
        pickle.dump({"format": 1, "weights": Code(trace)}, buffer)
    (tmp_path / "evil.pt").write_bytes(buffer.getvalue())
    refused(tmp_path / "evil.pt", "damaged, or not a weights file")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Code(trace))).close()  # the attack itself works
    assert trace.exists()


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_a_file_of_another_format_is_refused(tmp_path, tiny_weights, number):
    refused(changed(tiny_weights, tmp_path / "other.pt", format=number), f"has format {number}, but this version reads")


def test_a_file_with_other_content_is_refused(tmp_path):
    torch.save([1, 2, 3], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "has format None")


TINY, NARROW = recipes.to_dict(PRESETS["tiny"]), recipes.to_dict(PRESETS["published-narrow"])


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ({"recipe": TINY | {"depth": 3}}, "fields"),
        ({"recipe": {k: v for k, v in TINY.items() if k != "axial"}}, "fields"),
        ({"recipe": TINY | {"architecture": "newest"}}, "architecture"),
        ({"recipe": TINY | {"axial": TINY["axial"] | {"channels": 9}}}, "size mismatch"),
        ({"recipe": TINY | {"axial": {"channels": 8}}}, "does not match"),
        ({"recipe": NARROW}, "needs 63108 bytes of weights"),
        ({"recipe": NARROW | {"axial_reduction": 0}}, "does not match"),
        ({"recipe": "tiny"}, "does not match"),
        ({"recipe": None}, "recipe"),
        ({"weights": {}}, "Missing key|bytes of weights"),
        ({"weights": [1]}, "does not match"),
        ({"fusion": [0.5, 0.5]}, "fusion"),
        ({"fusion": [1.0, 1.0, 1.0]}, "fusion"),
        ({"fusion": [float("nan")] * 3}, "fusion"),
        ({"card": "{"}, "does not match"),
        ({"card": None}, "card"),
        ({"expected_error": [1.0, 2.0]}, "error calibration"),
        ({"expected_error": [float("nan")] * 17}, "error calibration"),
        ({"expected_error": "much"}, "does not match"),
    ],
)
def test_weights_that_do_not_match_the_recipe_are_refused(tmp_path, tiny_weights, entries, word):
    assert "does not match its recipe" in refused(changed(tiny_weights, tmp_path / "odd.pt", **entries), word)


def test_a_failed_save_keeps_the_old_file(tmp_path, tiny_model):
    (tmp_path / "model.pt").mkdir()  # a file cannot replace a folder
    with pytest.raises(SynthesisError) as caught:
        save(tiny_model, tmp_path / "model.pt")
    assert caught.value.reason == "cannot-write"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.fixture
def bundle(tmp_path, tiny_weights, monkeypatch):
    """Replace the bundled folder by one with a single model."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    shutil.copy(tiny_weights, folder / "small.pt")
    (folder / "small.json").write_text(json.dumps({"summary": "for tests"}))
    digest = hashlib.sha256(tiny_weights.read_bytes()).hexdigest()
    entry = {"name": "small", "file": "small.pt", "sha256": digest, "card": "small.json"}
    (folder / "registry.json").write_text(json.dumps({"version": 1, "models": [entry]}))
    monkeypatch.setattr(registry, "BUNDLED", folder)
    return folder


def test_a_bundled_model_is_found_by_its_name(bundle):
    model = load("small")
    assert (model.name, model.recipe) == ("small", PRESETS["tiny"])
    assert registry.find_bundled("small").card == {"summary": "for tests"}
    assert registry.find_bundled("smaller") is None


def test_a_bundled_model_with_another_checksum_is_refused(bundle):
    """A single flipped bit of a weight, which only the checksum reveals."""
    content = bytearray((bundle / "small.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "small.pt").write_bytes(content)
    assert "install the package again" in refused("small", "damaged: its SHA-256 is")


def test_a_bundled_model_without_its_file_is_refused(bundle):
    (bundle / "small.pt").unlink()
    refused("small", "cannot be read")


def test_the_version_of_the_format_is_written(tiny_weights):
    assert torch.load(tiny_weights, weights_only=True)["format"] == checkpoint.FORMAT
