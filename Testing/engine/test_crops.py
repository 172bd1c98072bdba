"""Training on thick scans: crops with targets, and mutual supervision of the views."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.distillation import StepSettings, charbonnier, draw, losses, squared
from CTSliceSynthesisEngine.training.objectives.view_answers import as_gap, axial, planes
from CTSliceSynthesisEngine.training.scans.crops import CropSettings, draw_batch, draw_native_batch
from CTSliceSynthesisEngine.training.scans.scan import MIN_PIXELS, TrainingScan
from CTSliceSynthesisEngine.training.validation.fusion_weights import fit_fusion

HU = 1 / 4096  # in the unit range
SIDE = 2 * MIN_PIXELS
GAPS = CropSettings(anchor_share=0, slab_share=0, known_share=1, half_share=0, soft=False, acquired_share=0)
CPU = torch.device("cpu")
BESIDE = replace(PRESETS["tiny"], axial_last=False)


def scan_of(slope_z=0.0, slope_row=0.0, slices=12, **options):
    """Build a scan whose HU increase by `slope_z` per slice and by `slope_row` per row."""
    z, row = np.arange(slices)[:, None, None], np.arange(SIDE)[None, :, None]
    hu = np.broadcast_to(slope_z * z + slope_row * row - 500, (slices, SIDE, SIDE))
    fields = {"slice_spacing": 2.0, "pixel_spacing": 0.8, "thickness": 1.5} | options
    return TrainingScan("ramp", np.ascontiguousarray(hu.astype(np.int16)), **fields)


def between(crop):
    """Interpolate linearly between the two middle slices at the target's position."""
    at = crop.position[:, None, None]
    return (1 - at) * crop.neighbours[:, 1] + at * crop.neighbours[:, 2]


def test_dense_crops_of_a_ramp_have_targets_on_the_ramp():
    crop = draw_batch(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, 60, (8, 20), anchor=False)
    assert crop.neighbours.shape == (60, 4, 8, 20)
    assert crop.target.shape == (60, 8, 20)
    assert {part.dtype for part in crop} == {np.dtype(np.float32)}
    assert np.allclose(crop.target, between(crop), atol=0.01 * HU)
    steps = np.diff(crop.neighbours, axis=1)
    assert np.allclose(steps, steps[:, :1], atol=0.01 * HU)  # evenly spaced, extrapolated at the ends


def test_averaged_slices_keep_a_ramp_too_away_from_the_ends():
    settings = replace(GAPS, slab_share=1.0)
    crop = draw_batch(np.random.default_rng(0), [scan_of(slope_z=40, slices=40)], settings, 60, (8, 20), anchor=False)
    steps = np.diff(crop.neighbours, axis=1)
    inside = np.abs(steps - steps[:, :1]).max(axis=(1, 2, 3)) < 0.01 * HU
    assert inside.sum() > 20
    assert np.allclose(crop.target[inside], between(crop)[inside], atol=0.01 * HU)


@pytest.mark.parametrize("slab", [0.0, 1.0])
def test_dense_crops_have_the_conditions_of_their_construction(slab):
    settings = replace(GAPS, slab_share=slab)
    crop = draw_batch(np.random.default_rng(1), [scan_of(slope_z=40)], settings, 60, (8, 20), anchor=False)
    spacing = 2.5 * 2 ** crop.conditions[:, 0]
    factor = spacing / 2.0
    assert np.allclose(factor, np.rint(factor), atol=1e-4)
    assert {2, 3} <= set(np.rint(factor).astype(int)) <= {2, 3, 4, 5, 6}  # 12 mm apart at most
    assert np.allclose(crop.position * factor, np.rint(crop.position * factor), atol=1e-4)
    assert np.allclose(2 ** crop.conditions[:, 1] * 0.75, 0.8)
    assert np.allclose(crop.conditions[:, 2], 1.0 if slab else 1.5 / spacing)
    assert np.allclose(crop.conditions[:, 3], 1.5 / spacing)
    assert (crop.conditions[:, 4] == 1).all()


def test_a_missing_thickness_is_encoded_as_unknown():
    settings = replace(GAPS, known_share=0)
    crop = draw_batch(np.random.default_rng(1), [scan_of(slope_z=40)], settings, 10, (8, 20), anchor=False)
    assert (crop.conditions[:, 2:] == [1, 1, 0]).all()


def test_in_plane_crops_preserve_constants_and_ramps():
    """The row ramp runs along the crop's slice axis or across it, because rows and columns are swapped at random."""
    settings = replace(GAPS, anchor_share=1.0, known_share=0.5)
    slope = 4
    crop = draw_batch(np.random.default_rng(2), [scan_of(slope_row=slope)], settings, 80, (8, 20), anchor=True)
    steps = np.diff(crop.neighbours, axis=1)
    spacing = 2.5 * 2 ** crop.conditions[:, 0, None, None, None]
    along = np.abs(steps).max(axis=(1, 2, 3)) > HU
    assert 20 < along.sum() < 60
    assert np.abs(steps[~along]).max() < 0.01 * HU
    assert np.allclose(crop.target[~along], crop.neighbours[~along, 1], atol=0.01 * HU)
    # Pixels sample the ramp in steps: a mean that ends within a pixel is off by less than a step.
    assert np.abs(crop.target - between(crop))[along].max() < slope * HU
    assert np.abs(np.abs(steps) - slope * spacing / 0.8 * HU)[along].max() < slope * HU


def test_native_gaps_have_no_target_and_the_scan_s_own_conditions():
    crop = draw_native_batch(np.random.default_rng(3), [scan_of(slope_z=40)], GAPS, 30, (16, 20))
    assert np.isnan(crop.target).all()
    assert np.allclose(np.diff(crop.neighbours, axis=1), 40 * HU, atol=0.01 * HU)
    assert ((crop.position > 0) & (crop.position < 1)).all()
    assert np.allclose(2.5 * 2 ** crop.conditions[:, 0], 2.0)
    assert np.allclose(crop.conditions[:, 2:], [0.75, 0.75, 1])


SOFT = replace(GAPS, slab_share=1.0, soft=True)


@pytest.mark.parametrize("anchor_share", [0.0, 1.0])
def test_averaged_slices_are_contiguous_half_of_the_time_otherwise_with_gaps_or_overlap(anchor_share):
    settings = replace(SOFT, anchor_share=anchor_share)
    scan = scan_of(slope_z=40, slope_row=4, slices=60, slice_spacing=1.0, thickness=0.5)
    crop = draw_batch(np.random.default_rng(4), [scan], settings, 300, (8, 20), anchor=anchor_share > 0)
    width = crop.conditions[:, 2]
    assert 0.35 < (np.abs(width - 1) < 1e-6).mean() < 0.65
    assert width.min() < 0.7 and 1.8 < width.max() < 2.01
    assert (crop.conditions[:, 3] <= width + 1e-6).all()  # the new slice is never thicker


def test_wide_slices_have_less_noise_than_contiguous_ones():
    noise = np.random.default_rng(0).normal(0, 100, (60, SIDE, SIDE)).astype(np.int16)
    scan = TrainingScan("noise", noise, 1.0, 0.8, 0.5)
    crop = draw_batch(np.random.default_rng(5), [scan], SOFT, 300, (8, 20), anchor=False)
    inner, factor = crop.neighbours[:, 1:3].std(axis=(1, 2, 3)), 2.5 * 2 ** crop.conditions[:, 0]
    slices = crop.conditions[:, 2] * factor  # averaged by each
    assert np.corrcoef(np.log(inner), -0.5 * np.log(np.maximum(1, slices)))[0, 1] > 0.9


@pytest.mark.parametrize("anchor_share", [0.0, 1.0])
def test_some_targets_are_at_the_position_of_an_acquired_slice(anchor_share):
    settings = replace(SOFT, anchor_share=anchor_share, acquired_share=1.0)
    crop = draw_batch(np.random.default_rng(6), [scan_of(slope_z=40)], settings, 40, (8, 20), anchor=anchor_share > 0)
    at_end = np.isin(crop.position, (0, 1))
    assert at_end.all() if not anchor_share else at_end.mean() > 0.8  # in-plane, thin slices gain nothing
    assert {0, 1} <= set(crop.position)
    dropped = draw_batch(
        np.random.default_rng(6), [scan_of()], replace(settings, slab_share=0), 40, (8, 20), anchor=False
    )
    assert ((dropped.position > 0) & (dropped.position < 1)).all()


def test_a_seed_draws_the_same_crops_again():
    scans = [scan_of(slope_z=40), scan_of(slope_row=4)]
    first, again, other = (
        draw_batch(np.random.default_rng(seed), scans, CropSettings(), 20, (8, 20), anchor=True) for seed in (7, 7, 8)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.neighbours, other.neighbours)


def test_the_half_size_copy_is_the_mean_of_four_pixels():
    scan = scan_of(slope_z=40, slope_row=4)
    assert scan.half.voxels.shape == (12, MIN_PIXELS, MIN_PIXELS)
    assert np.array_equal(scan.half.voxels, scan.voxels[:, ::2, ::2] + 2)
    assert (scan.half.pixel_spacing, scan.half.slice_spacing) == (1.6, 2.0)


def test_scans_with_large_spacing_give_only_in_plane_crops():
    far = scan_of(slope_z=40, slice_spacing=8.0, pixel_spacing=0.9)
    assert draw_batch(np.random.default_rng(0), [far], GAPS, 5, (8, 20), anchor=False).target.shape == (0, 8, 20)
    scans, rng = [far, scan_of(slope_row=4)], np.random.default_rng(0)
    crop = draw_batch(rng, scans, GAPS, 40, (8, 20), anchor=True)
    steps = np.diff(crop.neighbours, axis=1)
    assert np.abs(steps).max() < HU  # does not include the through-plane slope of 40 HU
    dense = draw_batch(np.random.default_rng(0), scans, GAPS, 40, (8, 20), anchor=False)
    assert np.allclose(2 ** dense.conditions[:, 1] * 0.75, 0.8)  # all from the second scan


def test_in_plane_crops_can_have_the_spacing_and_nearly_the_thickness_of_the_scan():
    settings = replace(GAPS, anchor_share=1.0, own_share=1.0)
    crop = draw_batch(np.random.default_rng(2), [scan_of(slope_row=4)], settings, 30, (8, 20), anchor=True)
    assert np.allclose(2.5 * 2 ** crop.conditions[:, 0], 2.0)
    thickness = 2.0 * crop.conditions[:, 2]
    assert 0.95 * 1.5 <= thickness.min() < thickness.max() <= 1.25 * 1.5 + 1e-6
    assert np.array_equal(crop.conditions[:, 2], crop.conditions[:, 3])


def test_squared_and_near_absolute_errors_have_equal_gradients_at_four_softnesses():
    error = torch.tensor([0.02], requires_grad=True)
    slopes = [torch.autograd.grad(loss(error, 0.005), error)[0].item() for loss in (charbonnier, squared)]
    assert slopes == [pytest.approx(0.970, abs=1e-3), pytest.approx(1.0)]
    assert squared(torch.tensor([0.1, -0.2]), 0.005).item() == pytest.approx(0.025 / 0.04)


def test_the_loss_is_squared_for_small_errors_and_absolute_for_large_ones():
    assert charbonnier(torch.zeros(3), 0.01) == 0
    assert charbonnier(torch.tensor([1e-4]), 0.01).item() == pytest.approx(1e-8 / 0.02, rel=1e-2)
    assert charbonnier(torch.tensor([1.0]), 0.01).item() == pytest.approx(0.99, rel=1e-3)


SMALL_STEPS = StepSettings(through_plane_crops=8, axial_crops=3, native_crops=2, axial_size=(32, 32))


def test_untrained_networks_agree_and_reproduce_a_ramp(randomize):
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, SMALL_STEPS)
    torch.manual_seed(0)
    model = Model.untrained(PRESETS["tiny"])
    assert all(term.item() < HU for term in losses(model.networks, batch, SMALL_STEPS, CPU).values())
    terms = losses(randomize(model).networks, batch, SMALL_STEPS, CPU)
    assert set(terms) == {"through_plane", "axial", "teaching"}
    assert all(term.item() > HU for term in terms.values())


def test_at_the_end_of_the_run_errors_against_a_truth_count_squared(randomize):
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, SMALL_STEPS)
    torch.manual_seed(0)
    networks = randomize(Model.untrained(PRESETS["tiny"])).networks
    settings = replace(SMALL_STEPS, squared_share=0.25)
    before, after = (losses(networks, batch, settings, CPU, share) for share in (0.74, 0.76))
    assert after["teaching"].item() == before["teaching"].item()
    assert all(after[term].item() != before[term].item() for term in ("through_plane", "axial"))
    never = losses(networks, batch, replace(settings, squared_share=0.0), CPU, 0.99)
    assert never["axial"].item() == before["axial"].item()


def test_no_gradient_flows_from_the_axial_network_to_the_through_plane_network(randomize):
    """Otherwise teacher and student could agree on the same mistake."""
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, SMALL_STEPS)
    torch.manual_seed(0)
    networks = randomize(Model.untrained(PRESETS["tiny"])).networks
    terms = losses(networks, batch, SMALL_STEPS, CPU)
    assert "teaching" not in losses(networks, batch, replace(SMALL_STEPS, teaching=0.0), CPU)
    for term in ("axial", "teaching"):
        networks.zero_grad()
        terms[term].backward(retain_graph=True)
        assert _learns(networks["axial"]) and not _learns(networks["through_plane"])


def _learns(network):
    return any(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_without_targets_only_the_axial_network_is_trained(tiny_model):
    settings = replace(SMALL_STEPS, axial_crops=0)
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], replace(GAPS, anchor_share=1.0), settings)
    terms = losses(tiny_model.networks, batch, settings, CPU)
    assert set(terms) == {"through_plane", "teaching"}
    assert all(term.isfinite() for term in terms.values())


def test_the_fusion_prefers_the_accurate_view(randomize):
    torch.manual_seed(0)
    model = Model.untrained(BESIDE)
    randomize(model)
    torch.nn.init.zeros_(model.networks["axial"].last.weight)
    torch.nn.init.zeros_(model.networks["axial"].last.bias)  # gives cubic interpolation, which is exact on a ramp
    weights = fit_fusion(model, [scan_of(slope_z=40, slices=30)], seed=0, crops=20)
    assert weights == (pytest.approx(1, abs=0.02), pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.01))


def test_an_axial_network_that_runs_last_gets_half_of_its_best_weight(randomize):
    torch.manual_seed(0)
    model = randomize(Model.untrained(PRESETS["tiny"]))
    batch = draw_batch(np.random.default_rng(7), [scan_of(slope_z=40)], GAPS, 20, (96, 96), anchor=False)
    gap, target = as_gap(batch, CPU)
    with torch.no_grad():
        coronal, sagittal = planes(model.networks, gap)
        correction = axial(model.networks, gap, coronal, sagittal) - (coronal + sagittal) / 2
        missing = target - (coronal + sagittal) / 2
    best = float((correction * missing).sum() / correction.square().sum())
    expected = min(max(best, 0), 1) / 2
    actual = fit_fusion(model, [scan_of(slope_z=40)], seed=0, crops=20)
    assert actual == pytest.approx((expected, (1 - expected) / 2, (1 - expected) / 2), abs=0.05)


def test_the_fusion_moves_half_way_to_the_best_weights(randomize):
    torch.manual_seed(0)
    model = Model.untrained(BESIDE)
    randomize(model)
    scan = TrainingScan(
        "noise", np.random.default_rng(0).normal(0, 100, (30, SIDE, SIDE)).astype(np.int16), 2.0, 0.8, 1.5
    )
    batch = draw_batch(np.random.default_rng(7), [scan], CropSettings(slab_share=0.15), 60, (96, 96), anchor=False)
    with torch.no_grad():
        gap, target = as_gap(batch, CPU)
        coronal, sagittal = planes(model.networks, gap)
        first, second = axial(model.networks, gap, coronal, sagittal), (coronal + sagittal) / 2
    tried = np.linspace(0, 1, 101)
    best = tried[np.argmin([(w * first + (1 - w) * second - target).square().mean() for w in tried])]
    assert 0.1 < best < 0.9 and abs(best - 0.5) > 0.1, "a case that tells nothing"
    expected = best / 2 if best < 0.5 else (1 + best) / 2
    assert fit_fusion(model, [scan], seed=0, crops=60)[0] == pytest.approx(expected, abs=0.03)
