"""Expected error: its features, and its calibration against known errors."""

import math

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.stated_error import stated_error_figures
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.expected_error import TERMS, ExpectedError, fit, terms
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import Result, synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.validation import error_calibration
from CTSliceSynthesisEngine.training.validation.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.volume.thinning import thin_out

GENERATOR = torch.Generator().manual_seed(4)


def planes(seed=0, size=(20, 24)):
    """Return disagreement (1, H, W) and four neighbors (4, H, W), with all pixels different."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, *size), generator=generator) * 30, torch.rand((4, *size), generator=generator) * 900


def seen_of(seed=0, size=(20, 24), position=0.5, apart=2.0, thinner=1.0):
    return terms(*planes(seed, size), [position], apart, thinner)


def test_the_terms_of_constant_planes_are_as_computed_by_hand():
    """The middle slices differ by 18, second differences are 8 and -6, without noise; 2 HU are added to each."""
    neighbours = torch.tensor([30.0, 40.0, 58.0, 70.0])[:, None, None].expand(4, 9, 9)
    seen = terms(torch.full((1, 9, 9), 13.0), neighbours, [0.25], 3.0, 1.5)
    d, b, n = (math.log(value / 20) for value in (15, 10, 2))
    x = [d, b, n, d, 0.0, b, n]  # for constant planes, wide means equal local means
    products = [x[i] * x[j] for i in range(7) for j in range(i, 7)]
    expected = [math.log(20), 1.0, *x, *products, math.log(0.75), math.log(3), math.log(1.5), math.log(1.5) * n]
    assert seen.shape == (1 + TERMS, 1, 9, 9)
    for term, value in zip(seen, expected, strict=True):
        assert torch.allclose(term, torch.full((1, 9, 9), value), atol=1e-4)  # at the border as in the middle


def test_a_pixel_affects_its_five_by_five_neighborhood_and_weakly_a_wide_one():
    quiet, none = torch.zeros(4, 51, 51), torch.zeros(1, 51, 51)
    loud = none.clone()
    loud[0, 25, 25] = 2500.0
    near, wide = ((terms(loud, quiet, [0.5], 1.0)[n] - terms(none, quiet, [0.5], 1.0)[n])[0] > 1e-6 for n in (2, 5))
    inside = torch.zeros(51, 51, dtype=torch.bool)
    inside[23:28, 23:28] = True
    assert torch.equal(near, inside)
    inside[8:43, 8:43] = True  # 31 pixels of means over 5
    assert torch.equal(wide, inside)


def test_twice_the_noise_gives_twice_the_error():
    """Up to the constant of 2 HU."""
    spread, neighbours = planes()
    stated, louder = (LAW(terms(scale * spread, scale * neighbours, [0.25], 2.0)) for scale in (4, 8))
    assert torch.allclose(louder, 2 * stated, rtol=0.02)


def test_the_terms_are_symmetric_in_the_slice_order():
    spread, neighbours = planes()
    turned = terms(spread, neighbours.flip(0), [0.75], 2.0)
    assert torch.allclose(terms(spread, neighbours, [0.25], 2.0), turned, atol=1e-5)


def test_terms_at_each_position_are_independent_of_others():
    spread, neighbours = planes()
    both = terms(spread.expand(2, -1, -1), neighbours, [0.25, 0.5], 2.0)
    assert torch.allclose(both[:, :1], terms(spread, neighbours, [0.25], 2.0))
    assert torch.allclose(both[:, 1:], terms(spread, neighbours, [0.5], 2.0))


def test_a_calibration_can_be_scaled():
    seen = seen_of()
    assert torch.allclose(LAW.times(1.5)(seen), 1.5 * LAW(seen))


LAW = ExpectedError((-0.7, 0.3, 0.2, 0.1, 0.2, -0.1, 0.05, 0.02, *[0.03, -0.02] * 14, 0.2, 0.1, 0.15, -0.05))


def test_the_fit_recovers_known_coefficients():
    seen = torch.cat(
        [
            seen_of(k, position=place, apart=1.0 + k, thinner=1.0 + k * place).flatten(1)
            for k in range(4)
            for place in (0.25, 0.5)
        ],
        1,
    )
    true = LAW(seen.double())
    actual = fit(seen, true, torch.ones(len(true)))
    assert torch.allclose(actual(seen.double()), true, rtol=1e-2)  # the ridge has a small effect


def test_expected_errors_sum_to_true_ones_under_noise():
    """True errors are exponentially distributed around the expected error."""
    seen = torch.cat([seen_of(k, (60, 60)).flatten(1) for k in range(6)], dim=1)
    mean = LAW(seen)
    scattered = -mean * torch.rand(mean.shape, generator=GENERATOR).clamp_min(1e-9).log()
    stated = fit(seen, scattered, torch.ones(len(mean)))(seen)
    order = stated.argsort()
    for decile in order.chunk(10):
        assert float(stated[decile].mean()) == pytest.approx(float(scattered[decile].mean()), rel=0.1)


@pytest.mark.parametrize("numbers", [(1.0,) * (TERMS - 1), (math.nan,) * TERMS])
def test_an_invalid_calibration_is_refused(numbers):
    with pytest.raises(ValueError, match="finite numbers"):
        ExpectedError(numbers)


def training_scan(noise, seed):
    """Constant soft tissue with noise, for which the error of the mean of neighbors is known."""
    voxels = np.random.default_rng(seed).normal(40, noise, (12, 112, 112)).astype(np.int16)
    return TrainingScan(f"noise {noise}", voxels, 2.0, 0.8, 2.0)


def test_a_calibration_on_scans_distinguishes_noise_levels():
    """Untrained networks give cubic interpolation, for which the views agree."""
    model = Model.untrained(PRESETS["tiny"])
    scans = [training_scan(noise, seed) for seed, noise in enumerate((5, 20, 60))]
    model.expected_error = fit_expected_error(model, scans, seed=0)
    for scan, low, high in zip(scans, (3, 14, 42), (7, 28, 84), strict=True):
        thick = thin_out(scan.volume(), 2, "gap")
        asked = SynthesisOptions(factor=2, outputs=("expected_error",))
        plan = make_plan(thick.grid, thick.voxels.dtype, asked, recipe=model.recipe)
        stated = synthesize(thick, plan, model).outputs["expected_error"].voxels
        assert not stated[::2].any()
        assert low < stated[1::2].mean() < high  # about the noise level, by which truth and prediction differ


@pytest.mark.parametrize(("slices", "counted"), [(7, 4), (3, 2)])
def test_gaps_at_the_ends_are_not_used_if_there_are_others(make_volume, tiny_model, slices, counted):
    """Of six gaps, the outer two use an extrapolated slice; of two gaps, both do."""
    voxels = np.random.default_rng(0).normal(40, 20, (2 * slices - 1, 32, 32)).astype(np.int16)
    thick, truth = hold_out(make_volume((32, 32, 2 * slices - 1), voxels=voxels), 2, "gap")
    seen, errors, inside = error_calibration._compare(tiny_model, thick, truth, 2)
    assert seen.shape == (1 + TERMS, counted * 32 * 32)
    assert len(errors) == len(inside) == counted * 32 * 32
    assert int(inside.sum()) == counted * 16 * 16  # without the border


def test_scans_of_air_give_no_calibration(tiny_model):
    air = TrainingScan("air", np.full((12, 112, 112), -1000, np.int16), 2.0, 0.8, 2.0)
    assert fit_expected_error(tiny_model, [air], seed=0) is None


def test_metrics_of_the_expected_error_count_deviating_deciles(make_scan):
    """The expected error is correct in one half of the body and twice too large in the other."""
    truth = make_scan(size=(40, 40, 9))
    thick, trimmed = hold_out(truth, 2, "gap")
    error = np.zeros(trimmed.voxels.shape, np.int16)
    error[1::2] = np.arange(20, 60)[None, None, :]
    stated = error * np.where(np.arange(40) < 20, 1, 2).astype(np.int16)[None, None, :]

    def like(voxels):
        return type(trimmed)(voxels.astype(np.int16), trimmed.grid)

    beside = {"disagreement": like(np.zeros_like(error)), "expected_error": like(stated)}
    result = Result(like(trimmed.voxels + error), beside)
    figures = stated_error_figures(trimmed, thick, result, 2)
    assert figures["rank_correlation"] > 0.99
    assert math.isnan(figures["rank_correlation_disagreement"])
    assert figures["tenths_off"] == 5
    assert figures["stated_hu"][0] == figures["true_hu"][0]
    assert figures["stated_hu"][-1] == pytest.approx(2 * figures["true_hu"][-1])
