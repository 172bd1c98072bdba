"""The published loss: each formula against hand-computed numbers, and one step of all three levels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.networks.slice_interpolator import Memory
from CTSliceSynthesisEngine.training.objectives.published_losses import DB3, agreement, detail_loss, wavelet_bands
from CTSliceSynthesisEngine.training.objectives.published_step import (
    PublishedStep,
    answers,
    draw_crops,
    interleave,
    left_out,
    published_losses,
)
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.training_recipes import PRESETS as RECIPES
from CTSliceSynthesisEngine.training.training_recipes import select

CPU = torch.device("cpu")


@pytest.mark.parametrize(("share", "mean"), [(0.25, 1.0), (0.5, 2.5), (0.75, 14 / 3), (1.0, 7.5), (0.01, 1.0)])
def test_agreement_is_the_mean_of_the_smallest_squared_differences(share, mean):
    first, second = torch.tensor([[3.0, -2.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    assert agreement(first, second, share).item() == pytest.approx(mean)  # 9, 4, 1 and 16


def test_agreement_has_gradients_for_both_sides_only_where_they_nearly_agree():
    first = torch.tensor([1.0, 10.0], requires_grad=True)
    second = torch.tensor([0.0, 0.0], requires_grad=True)
    agreement(first, second, 0.5).backward()
    assert first.grad.tolist() == [2.0, 0.0]
    assert second.grad.tolist() == [-2.0, 0.0]


def test_the_wavelet_is_orthonormal_and_has_three_vanishing_moments():
    low = np.array(DB3)
    high = low[::-1] * np.array([1, -1] * 3)
    assert low.sum() == pytest.approx(2**0.5)
    for shift in (0, 2, 4):
        assert low[shift:] @ low[: 6 - shift] == pytest.approx(float(shift == 0), abs=1e-10)
        assert low[shift:] @ high[: 6 - shift] == pytest.approx(0, abs=1e-10)
    for moment in range(3):
        assert high @ np.arange(6.0) ** moment == pytest.approx(0, abs=1e-10)
    assert abs(high @ np.arange(6.0) ** 3) > 1


def test_the_bands_preserve_the_energy_of_an_image_and_halve_its_size():
    image = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    coarse, details = wavelet_bands(image, 3)
    assert coarse.shape == (2, 1, 2, 3)
    assert [[tuple(band.shape[2:]) for band in level] for level in details] == [
        [(8, 12)] * 3, [(4, 6)] * 3, [(2, 3)] * 3,
    ]  # fmt: skip
    energy = coarse.square().sum() + sum(band.square().sum() for level in details for band in level)
    assert energy.item() == pytest.approx(image.square().sum().item(), rel=1e-5)


def test_vertical_and_horizontal_stripes_are_in_different_bands():
    """Lines of 0 and 1: their mean is in the coarse band, and +-1/2 on 256 pixels has energy 64."""
    lines = (torch.arange(16.0) % 2)[None, None, :, None].expand(1, 1, 16, 16)
    for image, energies in ((lines, [64, 0, 0]), (lines.transpose(2, 3), [0, 64, 0])):
        _, details = wavelet_bands(image, 1)
        assert [band.square().sum().item() for band in details[0]] == pytest.approx(energies, abs=1e-3)


def test_the_detail_loss_of_a_single_bright_pixel_is_the_energy_missing_in_the_coarse_band():
    """A pixel in an odd row and column is weighted by the odd filter taps along both axes."""
    image = torch.zeros(8, 8)
    image[3, 5] = 1.0
    odd = np.square(DB3[1::2]).sum()
    assert odd == pytest.approx(0.6706, abs=1e-4)
    assert detail_loss(image, torch.zeros(8, 8), levels=1).item() == pytest.approx((1 - odd**2) / 16, rel=1e-5)


def test_a_constant_difference_has_no_detail():
    assert detail_loss(torch.ones(3, 16, 16), torch.zeros(3, 16, 16)).item() == pytest.approx(0, abs=1e-10)
    with pytest.raises(ValueError, match="multiples of 8"):
        detail_loss(torch.ones(12, 16), torch.zeros(12, 16))


def test_the_memory_s_losses_are_distances_to_its_items():
    memory = Memory(2, 2)
    with torch.no_grad():
        memory.items.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    compactness, separateness = memory.losses(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    # squared distances: (0, 2) and (0.8, 0.4)
    assert compactness.item() == pytest.approx((0 + 0.4) / 2)
    assert separateness.item() == pytest.approx((0 + 0.6) / 2)  # 0 - 2 + 1 < 0, and 0.4 - 0.8 + 1


def test_interleaving_held_out_slices_restores_the_crop():
    crop = torch.arange(7.0)[:, None, None].expand(7, 2, 3)
    actual = left_out(crop, 3)
    assert actual[:, :, 0, 0].tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert torch.equal(interleave(crop[::3], actual), crop)


def scan(slices=12, side=32, seed=0):
    hu = np.random.default_rng(seed).normal(0, 200, (slices, side, side)).astype(np.int16)
    return TrainingScan("noise", hu, 5.0, 0.8, 5.0)


STEP = PublishedStep(size=(7, 16, 24))


@pytest.fixture
def narrow():
    torch.manual_seed(0)
    return Model.untrained(PRESETS["published-narrow"])


def test_untrained_views_give_linear_interpolation_and_agree(narrow):
    crops = draw_crops(np.random.default_rng(0), [scan()], STEP, 2)
    crop = torch.from_numpy(crops[0])
    actual = answers(narrow.networks, [crop[::2]] * 3)
    linear = (crop[:-2:2] + crop[2::2]) / 2
    for view in actual[:3]:
        assert torch.allclose(view[:, 0], linear, atol=1e-6)
    terms = published_losses(narrow.networks, crops, STEP, 2, CPU)
    assert set(terms) == {"level_0", "detail", "compactness", "separateness", "level_1", "level_2"}
    assert terms["level_0"].item() == pytest.approx(3 * (linear - crop[1::2]).abs().mean().item(), rel=1e-5)
    assert terms["level_1"].item() < 1e-10
    assert terms["level_2"].item() < 1e-10


@pytest.mark.parametrize("factor", [2, 3])
def test_every_level_reaches_every_network_and_level_two_flows_through_level_one(factor, randomize):
    torch.manual_seed(0)
    model = randomize(Model.untrained(replace(PRESETS["published-narrow"], factor=factor)))
    crops = draw_crops(np.random.default_rng(0), [scan()], STEP, factor)
    assert crops.shape == (1, 7, 16, 24)
    for term in ("level_0", "detail", "level_1", "level_2"):
        model.networks.zero_grad()
        published_losses(model.networks, crops, STEP, factor, CPU)[term].backward()
        for network in model.networks.values():
            assert network.last.weight.grad.abs().max() > 0, term
    stack = torch.from_numpy(crops[0]).requires_grad_()
    first = answers(model.networks, [stack] * 3)
    again = answers(model.networks, [interleave(stack, view) for view in first[:3]])
    assert torch.autograd.grad(again.axial.sum(), first.axial)[0].abs().max() > 0


def test_loss_terms_have_the_weights_of_the_recipe_and_levels_can_be_omitted(narrow, randomize):
    networks = randomize(narrow).networks
    crops = draw_crops(np.random.default_rng(0), [scan()], replace(STEP, crops=2), 2)
    terms = published_losses(networks, crops, STEP, 2, CPU)
    twice = published_losses(networks, crops, replace(STEP, detail=0.2, agreement=0.3), 2, CPU)
    for name, factor in {"level_0": 1, "detail": 2, "compactness": 1, "level_1": 2, "level_2": 2}.items():
        assert twice[name].item() == pytest.approx(factor * terms[name].item(), rel=1e-4), name
    each = [published_losses(networks, crops[n : n + 1], STEP, 2, CPU)["level_1"].item() for n in (0, 1)]
    assert terms["level_1"].item() == pytest.approx(sum(each) / 2, rel=1e-4)
    assert set(published_losses(networks, crops, replace(STEP, levels=0), 2, CPU)) == {
        "level_0", "detail", "compactness", "separateness",
    }  # fmt: skip


def test_crops_of_short_scans_have_fewer_slices_and_still_end_on_a_kept_one():
    step = PublishedStep(crops=3, size=(33, 16, 16))
    assert draw_crops(np.random.default_rng(0), [scan(12), scan(11)], step, 2).shape == (3, 11, 16, 16)
    assert draw_crops(np.random.default_rng(0), [scan(12)], step, 4).shape == (3, 9, 16, 16)


def test_auto_chooses_the_recipe_for_networks_and_scans():
    thin, thick = (TrainingScan("s", scan().stored, spacing, 0.8, 1.0) for spacing in (1.0, 5.0))
    compact = PRESETS["tiny"]
    assert select("auto", compact, [thick, thin]).name == "dense"
    assert select("auto", compact, [thick]).name == "anchored"
    published = select("auto", replace(PRESETS["published-narrow"], factor=4), [thick])
    assert (published.name, published.factor) == ("published", 4)
    assert all(recipe.name == name for name, recipe in RECIPES.items())
