"""The stated error: what it is made of, and that it tells the truth where the truth is known."""

import math

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.stated import stated_error_figures
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.expected_error import TERMS, ExpectedError, fit, terms
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis.pipeline import Result, synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.training.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.training.scan import TrainingScan
from CTSliceSynthesisEngine.volume.thinning import thin_out

GENERATOR = torch.Generator().manual_seed(4)


def planes(seed=0, size=(20, 24)):
    """Disagreement (1, H, W) and four neighbours (4, H, W), no two pixels alike."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, *size), generator=generator) * 30, torch.rand((4, *size), generator=generator) * 900


def seen_of(seed=0, size=(20, 24), position=0.5, spacing=5.0, thickness=5.0):
    return terms(*planes(seed, size), [position], spacing, thickness)


def test_the_terms_of_even_planes_are_as_worked_out_by_hand():
    """The middle ones differ by 18, second differences are 8 and -6, and a quarter of the way is 44.5."""
    neighbours = torch.tensor([30.0, 40.0, 58.0, 70.0])[:, None, None].expand(4, 9, 9)
    seen = terms(torch.full((1, 9, 9), 8.0), neighbours, [0.25], 5.0, 2.5)
    d, g, b = math.log(10), math.log(20), math.log(10)
    expected = [
        1.0, d, g, d * g, d * d, g * g, math.log(2), math.log(0.75), math.log(0.5), math.log(5), b, b * b, b * d, b * g,
        44.5 / 1024, (44.5 / 1024) ** 2, 0.0,
    ]  # fmt: skip
    assert seen.shape == (TERMS, 1, 9, 9)
    for term, value in zip(seen, expected, strict=True):
        assert torch.allclose(term, torch.full((1, 9, 9), value), atol=1e-4)  # at the rim as in the middle


def test_a_pixel_speaks_for_its_five_by_five_neighbourhood():
    quiet, none = torch.zeros(4, 15, 15), torch.zeros(1, 15, 15)
    loud = none.clone()
    loud[0, 7, 7] = 25.0
    moved = (terms(loud, quiet, [0.5], 5, 5)[1] - terms(none, quiet, [0.5], 5, 5)[1])[0] > 1e-6
    inside = torch.zeros(15, 15, dtype=torch.bool)
    inside[5:10, 5:10] = True
    assert torch.equal(moved, inside)


def test_it_does_not_matter_which_slice_is_above():
    spread, neighbours = planes()
    turned = terms(spread, neighbours.flip(0), [0.75], 5, 5)
    assert torch.allclose(terms(spread, neighbours, [0.25], 5, 5), turned, atol=1e-5)


def test_each_place_in_a_gap_is_told_of_itself_alone():
    spread, neighbours = planes()
    both = terms(spread.expand(2, -1, -1), neighbours, [0.25, 0.5], 5, 5)
    assert torch.allclose(both[:, :1], terms(spread, neighbours, [0.25], 5, 5))
    assert torch.allclose(both[:, 1:], terms(spread, neighbours, [0.5], 5, 5))


def test_an_unknown_thickness_reads_as_touching_slices():
    assert torch.equal(terms(*planes(), [0.5], 4.0, None), terms(*planes(), [0.5], 4.0, 4.0))


LAW = ExpectedError((0.5, 0.3, 0.4, 0.02, 0.05, 0.01, 0.2, -0.3, 0.1, 0.2, 0.1, 0.01, 0.02, -0.02, 0.3, -0.2, 0.1))


def test_a_known_law_is_found_again():
    drawn = [(k, place, s) for k in range(4) for place in (0.25, 0.5) for s in (3.0, 5.0)]
    seen = torch.cat([seen_of(k, position=place, spacing=s, thickness=2.5).flatten(1) for k, place, s in drawn], 1)
    true = LAW(seen.double())
    found = fit(seen, true, torch.ones(len(true)))
    assert torch.allclose(found(seen.double()), true, rtol=1e-4)


def test_stated_errors_add_up_to_true_ones_when_these_scatter():
    """Errors scatter around their mean like an exponential law's; the stated error is that mean."""
    seen = torch.cat([seen_of(k, (60, 60)).flatten(1) for k in range(6)], dim=1)
    mean = LAW(seen)
    scattered = -mean * torch.rand(mean.shape, generator=GENERATOR).clamp_min(1e-9).log()
    stated = fit(seen, scattered, torch.ones(len(mean)))(seen)
    order = stated.argsort()
    for decile in order.chunk(10):
        assert float(stated[decile].mean()) == pytest.approx(float(scattered[decile].mean()), rel=0.1)


@pytest.mark.parametrize("numbers", [(1.0,) * (TERMS - 1), (math.nan,) * TERMS])
def test_a_calibration_of_the_wrong_kind_is_refused(numbers):
    with pytest.raises(ValueError, match="finite numbers"):
        ExpectedError(numbers)


def training_scan(noise, seed):
    """Soft tissue of one value with noise: the error of a mean of neighbours is known."""
    voxels = np.random.default_rng(seed).normal(40, noise, (12, 112, 112)).astype(np.int16)
    return TrainingScan(f"noise {noise}", voxels, 2.0, 0.8, 2.0)


def test_a_calibration_on_scans_tells_a_noisy_scan_from_a_quiet_one():
    """Untrained networks answer with cubic interpolation, on which the views agree."""
    model = Model.untrained(PRESETS["tiny"])
    scans = [training_scan(noise, seed) for seed, noise in enumerate((5, 20, 60))]
    model.expected_error = fit_expected_error(model, scans, seed=0, crops=96)
    for scan, low, high in zip(scans, (3, 14, 42), (7, 28, 84), strict=True):
        thick = thin_out(scan.volume(), 2, "gap")
        plan = make_plan(thick.grid, thick.voxels.dtype, factor=2, recipe=model.recipe)
        stated = synthesize(thick, plan, model, expected_error=True).expected_error.voxels
        assert not stated[::2].any()
        assert low < stated[1::2].mean() < high  # about the noise itself: what the truth and the answer differ by


def test_scans_of_nothing_but_air_give_no_calibration(tiny_model):
    air = TrainingScan("air", np.full((12, 112, 112), -1000, np.int16), 2.0, 0.8, 2.0)
    assert fit_expected_error(tiny_model, [air], seed=0, crops=32) is None


def test_figures_of_a_stated_error_count_what_is_off(make_scan):
    """Half of the body is stated rightly; in the other half twice the error is stated."""
    truth = make_scan(size=(40, 40, 9))
    thick, trimmed = hold_out(truth, 2, "gap")
    error = np.zeros(trimmed.voxels.shape, np.int16)
    error[1::2] = np.arange(20, 60)[None, None, :]
    stated = error * np.where(np.arange(40) < 20, 1, 2).astype(np.int16)[None, None, :]

    def like(voxels):
        return type(trimmed)(voxels.astype(np.int16), trimmed.grid)

    result = Result(like(trimmed.voxels + error), like(np.zeros_like(error)), like(stated))
    figures = stated_error_figures(trimmed, thick, result, 2)
    assert figures["rank_correlation"] > 0.99
    assert math.isnan(figures["rank_correlation_disagreement"])
    assert figures["tenths_off"] == 5
    assert figures["stated_hu"][0] == figures["true_hu"][0]
    assert figures["stated_hu"][-1] == pytest.approx(2 * figures["true_hu"][-1])
