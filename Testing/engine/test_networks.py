"""Networks before and during training: outputs, sizes, and the registry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.blocks import channels_to_space, space_to_channels
from CTSliceSynthesisEngine.networks.builder import build
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.networks.gap_network import CONDITIONS, GapNetwork, condition, cubic_weights
from CTSliceSynthesisEngine.networks.grown import can_grow, grow
from CTSliceSynthesisEngine.networks.plane_upscaler import interleave
from CTSliceSynthesisEngine.networks.recipes import PRESETS, GapShape, PublishedRecipe, from_dict, to_dict
from CTSliceSynthesisEngine.networks.registry import DEFAULT_MODEL, bundled_models
from CTSliceSynthesisEngine.networks.slice_interpolator import Memory
from CTSliceSynthesisEngine.synthesis import classical, pipeline, predict
from CTSliceSynthesisEngine.synthesis.options import FACTORS, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.intensity import to_unit

NARROW = PRESETS["published-narrow"]


def run(scan, model, factor, outputs=()):
    asked = SynthesisOptions(factor=factor, outputs=outputs)
    return pipeline.synthesize(scan, make_plan(scan.grid, scan.voxels.dtype, asked, recipe=model.recipe), model)


@pytest.fixture
def exact(monkeypatch):
    """Convolve in float32, because the default precision depends on the machine."""
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


def test_patches_fold_into_channels_and_back():
    image = torch.arange(2 * 1 * 4 * 6, dtype=torch.float32).reshape(2, 1, 4, 6)
    folded = space_to_channels(image, 2, 3)
    assert folded.shape == (2, 6, 2, 2)
    assert torch.equal(folded[0, :, 1, 0], image[0, 0, 2:4, 0:3].flatten())
    assert torch.equal(channels_to_space(folded, 2, 3), image)


@pytest.mark.parametrize("factor", FACTORS)
def test_an_untrained_compact_model_gives_cubic_interpolation_for_every_factor(make_scan, exact, factor):
    scan = make_scan(size=(10, 9, 6))
    thin = run(scan, Model.untrained(PRESETS["tiny"]), factor).volume.voxels
    cubic = classical.interpolate(scan.voxels.astype(np.float32), factor, "cubic")
    assert thin.shape == ((6 - 1) * factor + 1, 9, 10)
    assert np.abs(thin - cubic).max() <= 0.51  # rounding to integer HU


@pytest.mark.parametrize("factor", [2, 4])
def test_an_untrained_published_model_gives_linear_interpolation(make_scan, factor):
    scan = make_scan(size=(11, 9, 6))
    recipe = PublishedRecipe(**{**to_dict_fields(NARROW), "factor": factor})
    thin = run(scan, Model.untrained(recipe), factor, outputs=("disagreement",))
    linear = classical.interpolate(scan.voxels.astype(np.float32), factor, "linear")
    assert np.abs(thin.volume.voxels - linear).max() <= 0.51
    assert thin.outputs["disagreement"].voxels.max() == 0


def to_dict_fields(recipe):
    return {name: value for name, value in to_dict(recipe).items() if name != "architecture"}


def test_the_published_model_has_the_published_size():
    """Fang et al. 2022 report 53.5 and 0.89 million parameters; the meta device needs no memory."""
    with torch.device("meta"):
        networks = build(PRESETS["published"])
    millions = {view: sum(p.numel() for p in network.parameters()) / 1e6 for view, network in networks.items()}
    assert millions == {"axial": pytest.approx(53.5, rel=0.05), "through_plane": pytest.approx(0.89, rel=0.05)}


@pytest.mark.parametrize("name", ["compact", "quality"])
@pytest.mark.parametrize("axial_last", [True, False])
def test_the_work_of_a_recipe_matches_its_convolutions(name, axial_last):
    """Compared with multiplications counted per layer; an axial network that runs last is computed per slice."""
    recipe = replace(PRESETS[name], axial_last=axial_last)
    networks = build(recipe)
    once = each = 0.0
    for view, shape, times in (("axial", recipe.axial, 1), ("through_plane", recipe.through_plane, 2)):
        for module_name, module in networks[view].named_modules():
            if isinstance(module, torch.nn.Conv2d):
                work = times * module.weight.numel() / (shape.patch[0] * shape.patch[1])
                if module_name == "last" or (view == "axial" and axial_last):
                    each += work
                else:
                    once += work
    for new_slices in (1, 3):
        assert recipe.work(new_slices) == pytest.approx(once + new_slices * each)


def test_an_untrained_axial_network_gives_the_mean_of_the_other_views():
    network = build(PRESETS["tiny"])["axial"]
    four, (coronal, sagittal) = torch.rand(2, 4, 8, 8), torch.rand(2, 2, 8, 8)
    told = torch.tensor([condition(5.0, 0.8, 5.0, 2.5)] * 2)
    with torch.no_grad():
        assert network.correction(four, coronal, sagittal, torch.tensor([0.25, 0.5]), told).abs().max() == 0


def test_files_of_version_0_1_have_an_independent_axial_network():
    values = to_dict(PRESETS["tiny"])
    del values["axial_last"]
    assert from_dict(values) == replace(PRESETS["tiny"], axial_last=False)


def test_cubic_weights_equal_the_classical_method():
    at = torch.tensor([0.25, 0.5, 0.75])
    assert np.allclose(cubic_weights(at).numpy(), classical.weights(4, "cubic"), atol=1e-6)


def test_an_unknown_thickness_is_encoded_as_contiguous_slices():
    assert condition(5.0, 1.5, None, None) == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert condition(5.0, 1.5, 2.5, 1.25) == [1.0, 1.0, 0.5, 0.25, 1.0]
    assert len(condition(1, 1, 1, 1)) == CONDITIONS


def test_the_conditions_of_each_view_use_its_pixel_spacing(make_scan):
    """Coronal planes run along columns (i), sagittal planes along rows (j)."""
    scan = make_scan(spacing=(0.75, 1.5, 5.0), thickness=5.0)
    axial, coronal, sagittal = predict.conditions(make_plan(scan.grid, scan.voxels.dtype, SynthesisOptions(factor=2)))
    assert (coronal[1], sagittal[1]) == pytest.approx((0.0, 1.0))
    assert axial[1] == pytest.approx(0.5)
    assert axial[3] == pytest.approx(0.5)  # contiguous slices: new ones are to be half as thick


def test_a_new_slice_depends_on_its_position_and_on_the_scan(tiny_model):
    network = tiny_model.networks["through_plane"]
    torch.manual_seed(5)
    with torch.no_grad():
        for block in network.blocks:
            torch.nn.init.normal_(block.shift.weight)
        image = torch.rand(1, 4, 8, 8)

        def answer(position, slice_spacing):
            told = torch.tensor([condition(slice_spacing, 0.8, 5.0, 2.5)])
            return network(image, torch.tensor([position]), told)

        here = answer(0.5, 5.0)
        assert not torch.allclose(here, answer(0.25, 5.0))
        assert not torch.allclose(here, answer(0.5, 2.5))
        for block in network.blocks:
            torch.nn.init.zeros_(block.shift.weight)


def test_the_memory_losses_are_as_computed_by_hand():
    memory = Memory(2, 2)
    memory.items.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # (1, 0) lies on the first item, squared distance 2 from the second; (0.6, 0.8) is 0.4 from the second, 0.8 from the first
    losses = memory.losses(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    assert losses.compactness.item() == pytest.approx((0.0 + 0.4) / 2, abs=1e-6)
    assert losses.separateness.item() == pytest.approx((0.0 + (0.4 - 0.8 + 1)) / 2, abs=1e-6)


def test_the_memory_is_read_by_similarity_and_appended():
    memory = Memory(2, 2)
    memory.items.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    out, _ = memory(torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1))
    share = torch.softmax(torch.tensor([1.0, 0.0]), 0)
    assert torch.allclose(out.flatten(), torch.tensor([3.0, 0.0, share[0], share[1]]))


def test_new_columns_are_inserted_between_the_acquired_ones():
    planes = torch.tensor([[[[0.0, 3.0, 6.0]]]])
    new = torch.tensor([[[[1.0, 4.0]], [[2.0, 5.0]]]])
    assert interleave(planes, new).flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]


def narrow_losses(networks, stack, optimizer):
    """Train a narrow published model for one step with every other slice held out; return the loss in HU."""
    pair, truth = torch.stack([stack[:-2:2], stack[2::2]], dim=1), stack[1::2]
    answer, memory = networks["axial"](pair)
    planes = stack.permute(1, 2, 0)[:, None]
    columns = networks["through_plane"](planes[..., ::2])
    error = (answer[:, 0] - truth).abs().mean() + (columns[:, 0] - planes[:, 0, :, 1::2]).abs().mean()
    optimizer.zero_grad()
    (error + 1e-3 * (memory.compactness + memory.separateness)).backward()
    optimizer.step()
    return 4096 * error.item()


def test_a_published_model_learns_and_handles_odd_sizes(make_scan):
    torch.manual_seed(0)
    scan = make_scan(size=(21, 17, 7))
    model = Model.untrained(NARROW)
    optimizer = torch.optim.Adam(model.networks.parameters(), 5e-4)
    stack = torch.from_numpy(to_unit(scan.voxels))
    stack[1::2] += 0.1  # unknown to linear interpolation, but quickly learned
    errors = [narrow_losses(model.networks.train(), stack, optimizer) for _ in range(15)]
    assert errors[-1] < 0.8 * errors[0]
    thin = run(scan, model, 2, outputs=("disagreement",))
    assert thin.volume.voxels.shape == (13, 17, 21)
    assert np.array_equal(thin.volume.voxels[::2], scan.voxels)
    assert thin.outputs["disagreement"].voxels[1::2].max() > 0
    linear = classical.interpolate(scan.voxels.astype(np.float32), 2, "linear")
    assert np.abs(thin.volume.voxels - linear)[1::2].max() > 1


def test_a_published_model_refuses_other_factors(make_scan):
    with pytest.raises(SynthesisError, match="factor 2 only, not 3") as caught:
        run(make_scan(), Model.untrained(NARROW), 3)
    assert caught.value.reason == "bad-model"


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_survives_conversion_to_plain_values(name):
    assert from_dict(to_dict(PRESETS[name])) == PRESETS[name]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"architecture": "newest"}, "architecture"),
        ({"depth": 3}, "fields"),
        ({"axial": {"channels": 8, "blocks": 1, "patch": [2, 2], "kernel": [2, 3]}}, "odd"),
    ],
)
def test_an_unknown_recipe_is_refused(change, word):
    with pytest.raises(ValueError, match=word):
        from_dict(to_dict(PRESETS["tiny"]) | change)


def test_the_bundled_default_model_processes_a_small_scan(make_scan):
    scan = make_scan(size=(24, 20, 5), thickness=5.0)
    model = load(DEFAULT_MODEL)
    thin = run(scan, model, 2, outputs=("disagreement",))
    cubic = classical.interpolate(scan.voxels.astype(np.float32), 2, "cubic")
    assert np.array_equal(thin.volume.voxels[::2], scan.voxels)
    assert 0 < np.abs(thin.volume.voxels - cubic)[1::2].mean() < 100  # a small correction of cubic interpolation
    assert thin.outputs["disagreement"].voxels[1::2].max() > 0


def test_every_bundled_model_has_its_checksum_and_a_card():
    for entry in bundled_models():
        model = load(entry.name)
        assert (model.name, model.sha256) == (entry.name, entry.sha256)
        assert entry.card["summary"]


def test_a_grown_network_preserves_the_function_and_has_gradients_for_new_weights():
    torch.manual_seed(0)
    small = GapNetwork(GapShape(8, 1, (1, 2), (1, 3)))
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    large = GapNetwork(GapShape(12, 3, (1, 2), (1, 3)))
    assert can_grow(small.shape, large.shape)
    grow(small, large)
    given = torch.rand(2, 4, 8, 12), torch.tensor([0.3, 0.6]), torch.rand(2, CONDITIONS)
    assert torch.allclose(small(*given), large(*given), atol=1e-6)
    large(*given).square().mean().backward()
    grown, added = large.blocks[0].second.weight.grad, large.blocks[2].second.weight.grad
    for gradient in (
        grown[:8, 8:],
        added[:8],
        large.last.weight.grad[:, 8:],
    ):  # nonzero, so that the new weights can be trained
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("shape", [(4, 1, (1, 2), (1, 3)), (8, 1, (2, 2), (1, 3)), (8, 1, (1, 2), (3, 3))])
def test_a_network_can_only_grow_into_a_compatible_larger_one(shape):
    assert not can_grow(GapShape(8, 1, (1, 2), (1, 3)), GapShape(*shape))
