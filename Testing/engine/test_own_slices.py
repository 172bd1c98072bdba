"""Adaptation of the expected error to the scan by restoring its own slices."""

from dataclasses import replace

import numpy as np
import pytest
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.expected_error import TERMS, ExpectedError
from CTSliceSynthesisEngine.networks.recipes import PRESETS, PublishedRecipe
from CTSliceSynthesisEngine.synthesis import scan_calibration
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.intensity import HU_MIN

STATED = SynthesisOptions(factor=2, outputs=("expected_error",), accept_isotropic=True)
LAW = ExpectedError((-0.5, *[0.0] * (TERMS - 1)))
"""Exp(-0.5) of the difference of the two acquired slices."""


def quiet(stage, done, total):
    """Ignore progress."""


def ratio(model, volume, law=LAW, factor=2, progress=quiet):
    """Return the ratio of the adapted to the model's expected error."""
    model = replace(model, expected_error=law)
    plan = make_plan(
        volume.grid, volume.voxels.dtype, SynthesisOptions(factor=factor, accept_isotropic=True), recipe=model.recipe
    )
    own = scan_calibration.scan_calibration(model, volume.voxels, plan, None, progress, lambda sentence: None)
    constant, *others = own.coefficients
    assert tuple(others) == law.coefficients[1:]
    return float(np.exp(constant - law.coefficients[0]))


@pytest.mark.parametrize("thickness", [None, 1.0, 4.0])
def test_the_adaptation_applies_half_of_the_log_ratio_on_left_out_slices(tiny_model, make_scan, thickness):
    """Of seven slices four are kept; only the middle gap has all neighbors."""
    volume = make_scan(size=(40, 40, 7), thickness=thickness)
    actual = ratio(tiny_model, volume)
    thick, truth = hold_out(volume, 2, "gap")
    plan = make_plan(thick.grid, thick.voxels.dtype, STATED, recipe=tiny_model.recipe)
    told = replace(tiny_model, expected_error=LAW)
    result = synthesize(thick, plan, told)  # four slices: the model's own calibration is used
    true = np.abs(result.volume.voxels[3] - truth.voxels[3].astype(float)).mean()
    assert actual == pytest.approx((true / result.outputs["expected_error"].voxels[3].mean()) ** 0.5, rel=0.01)


def test_a_calibration_that_is_four_times_too_low_is_half_corrected(tiny_model, make_scan):
    volume = make_scan(size=(40, 40, 9))
    assert ratio(tiny_model, volume, LAW.times(0.25)) == pytest.approx(2 * ratio(tiny_model, volume), rel=1e-4)


def test_the_run_uses_the_adapted_calibration(tiny_model, make_scan):
    volume = make_scan(size=(40, 40, 9))
    actual = ratio(tiny_model, volume)
    plan = make_plan(volume.grid, volume.voxels.dtype, STATED, recipe=tiny_model.recipe)

    def stated(law):
        told = replace(tiny_model, expected_error=law)
        return synthesize(volume, plan, told).outputs["expected_error"].voxels[1::2].mean()

    right = LAW.times(actual**2)  # correct for the left-out slices, so nothing changes
    assert ratio(tiny_model, volume, right) == pytest.approx(1.0, rel=1e-4)
    assert stated(LAW) == pytest.approx(stated(right) / actual, rel=0.01)


def test_padding_is_ignored(tiny_model, make_scan):
    volume = make_scan(size=(40, 40, 9))
    padded = np.pad(volume.voxels, ((0, 0), (0, 0), (0, 40)), constant_values=-2000)
    other = type(volume)(padded, make_scan(size=(80, 40, 9)).grid)
    air = type(volume)(np.where(padded == -2000, HU_MIN, padded), other.grid)
    assert ratio(tiny_model, other) == pytest.approx(ratio(tiny_model, air), rel=0.1)  # their borders differ


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64])
def test_every_voxel_type_is_supported(tiny_model, make_scan, dtype):
    whole = make_scan(size=(40, 40, 9), dtype=np.uint8)
    other = type(whole)(whole.voxels.astype(dtype), whole.grid)
    assert ratio(tiny_model, other) == pytest.approx(ratio(tiny_model, whole))


@pytest.mark.parametrize("slices", [2, 3, 4])
def test_scans_with_few_slices_use_the_model_calibration(tiny_model, make_scan, slices):
    assert ratio(tiny_model, make_scan(size=(40, 40, slices))) == 1.0


def test_scans_of_air_use_the_model_calibration(tiny_model, make_volume):
    assert ratio(tiny_model, make_volume((40, 40, 9), voxels=np.full((9, 40, 40), -1000, np.int16))) == 1.0


def test_a_model_that_does_not_support_factor_two_uses_its_own_calibration(make_scan):
    model = Model.untrained(PublishedRecipe("published", factor=3, plane_features=8, axial_groups=1))
    assert ratio(model, make_scan(size=(40, 40, 9)), factor=3) == 1.0


def test_an_error_free_phantom_does_not_scale_all_errors_to_zero(make_volume):
    """Interpolation between identical slices is exact."""
    model = Model.untrained(PRESETS["tiny"])
    actual = ratio(model, make_volume((40, 40, 9), voxels=np.full((9, 40, 40), 40, np.int16)))
    assert 0.1 < actual < 1


def test_without_a_calibration_none_is_returned(tiny_model, make_scan):
    model = replace(tiny_model, expected_error=None)
    volume = make_scan()
    plan = make_plan(volume.grid, volume.voxels.dtype, SynthesisOptions(accept_isotropic=True), recipe=model.recipe)
    assert scan_calibration.scan_calibration(model, volume.voxels, plan, None, quiet, lambda sentence: None) is None


def test_it_can_be_canceled(tiny_model, make_scan):
    def cancel(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ratio(tiny_model, make_scan(size=(40, 40, 9)), progress=cancel)


@pytest.mark.parametrize(
    ("gaps", "chosen"), [(1, [0]), (2, [0, 1]), (3, [1]), (6, [1, 2, 3, 4]), (16, [1, 3, 5, 7, 8, 10, 12, 14])]
)
def test_gaps_are_spread_over_the_scan(gaps, chosen):
    assert scan_calibration._spread_out(gaps) == chosen
