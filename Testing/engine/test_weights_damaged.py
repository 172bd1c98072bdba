"""Weights files with damage that PyTorch does not detect are refused, without allocating more memory than their size."""

import io
import zipfile

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks import recipes
from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.networks.recipes import PRESETS


def refused(path, word):
    with pytest.raises(SynthesisError, match=word) as caught:
        load(path)
    assert caught.value.reason == "bad-model"


def changed(file, path, **entries):
    torch.save(torch.load(file, weights_only=True) | entries, path)
    return path


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path, tiny_weights, seed):
    content = bytearray(tiny_weights.read_bytes())
    at = int(np.random.default_rng(seed).integers(0, len(content)))
    content[at] ^= 1 << (seed % 8)
    (tmp_path / "odd.pt").write_bytes(content)
    try:
        actual = load(tmp_path / "odd.pt").networks.state_dict()
    except SynthesisError:
        return
    right = load(tiny_weights).networks.state_dict()
    assert all(torch.equal(actual[name], right[name]) for name in right)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_non_finite_weight_is_refused(tmp_path, tiny_weights, value):
    weights = torch.load(tiny_weights, weights_only=True)["weights"]
    next(iter(weights.values())).view(-1)[0] = value
    refused(changed(tiny_weights, tmp_path / "odd.pt", weights=weights), "are not finite")


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32])
def test_weights_of_another_type_are_refused(tmp_path, tiny_weights, dtype):
    weights = torch.load(tiny_weights, weights_only=True)["weights"]
    refused(
        changed(tiny_weights, tmp_path / "odd.pt", weights={name: value.to(dtype) for name, value in weights.items()}),
        "not a float32 tensor",
    )


@pytest.mark.parametrize("fusion", [[-0.5, 0.5, 1.0], [1.5, -0.25, -0.25], [float("inf"), 0, 0]])
def test_fusion_weights_must_be_between_0_and_1(tmp_path, tiny_weights, fusion):
    refused(changed(tiny_weights, tmp_path / "odd.pt", fusion=fusion), "fusion")


@pytest.mark.parametrize(
    "sizes", [{"channels": 10**9}, {"blocks": 10**6}, {"channels": 1024, "blocks": 128}, {"patch": [10**5, 1]}]
)
def test_a_recipe_must_not_require_more_than_the_file_contains(tmp_path, tiny_weights, sizes):
    recipe = recipes.to_dict(PRESETS["tiny"])
    recipe["axial"] = recipe["axial"] | sizes
    refused(changed(tiny_weights, tmp_path / "odd.pt", recipe=recipe), "are implausible|bytes of weights")


def test_a_published_recipe_must_not_require_more_either(tmp_path, tiny_weights):
    recipe = recipes.to_dict(PRESETS["published-narrow"]) | {"axial_blocks": 10**9}
    refused(changed(tiny_weights, tmp_path / "odd.pt", recipe=recipe), "are implausible")


def test_a_compressed_archive_is_refused_before_it_is_decompressed(tmp_path, tiny_weights):
    buffer = io.BytesIO()
    with zipfile.ZipFile(tiny_weights) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + bytes(64 << 20 if name.endswith("data.pkl") else 0))
    (tmp_path / "bomb.pt").write_bytes(buffer.getvalue())
    refused(tmp_path / "bomb.pt", "damaged, or not a weights file")
