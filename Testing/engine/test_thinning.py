"""Simulation of thick slices, with numbers computed by hand on stacks of one-voxel slices."""

from dataclasses import replace

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume.thinning import PROFILES, profile_weights, thin_out

THIN = [0, 8, 40, 16, 24, 80, 0]


@pytest.fixture
def stack(make_volume):
    """A volume of one-voxel slices along k, 1 mm apart."""

    def build(values, dtype=np.int16):
        voxels = np.array(values, dtype).reshape(-1, 1, 1)
        return make_volume((1, 1, len(values)), (0.5, 0.5, 1.0), thickness=1.0, voxels=voxels)

    return build


def slices(volume):
    return volume.voxels.ravel().tolist()


@pytest.mark.parametrize(
    ("factor", "kept"), [(1, THIN), (2, [0, 40, 24, 0]), (3, [0, 16, 0]), (4, [0, 24]), (5, [0, 80])]
)
def test_a_gap_drops_slices(stack, factor, kept):
    assert slices(thin_out(stack(THIN), factor, "gap")) == kept


@pytest.mark.parametrize(
    ("factor", "means"),
    [
        (1, THIN),
        # (0+2*0+8)/4, (8+80+16)/4, (16+48+80)/4, (80+0+0)/4
        (2, [2, 26, 36, 20]),
        # (0+0+8)/3 = 2.67, (40+16+24)/3 = 26.67, (80+0+0)/3 = 26.67
        (3, [3, 27, 27]),
        # (0/2+0+0+8+40/2)/4 = 7; the run ends on slice 4, which is repeated: (40/2+16+24+24+24/2)/4 = 24
        (4, [7, 24]),
    ],
)
def test_a_slab_averages_around_the_kept_slices_and_repeats_the_ends(stack, factor, means):
    assert slices(thin_out(stack(THIN), factor, "slab")) == means


def test_halves_round_to_even_as_numpy_does(stack):
    assert slices(thin_out(stack([0, 2, 4, 4, 4]), 2, "slab")) == [0, 4, 4]  # 0.5 -> 0, 3.5 -> 4
    assert slices(thin_out(stack([3, 0, 0, 0, 0, 0, 0]), 6, "slab")) == [2, 0]  # 1.75 and 0.25


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 6, 7])
def test_a_slab_spans_its_factor_and_keeps_the_mean(factor):
    weights = profile_weights(factor)
    assert weights.sum() == pytest.approx(1)
    assert 1 / weights.max() == pytest.approx(factor)
    assert np.array_equal(weights, weights[::-1])


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
def test_a_bell_is_a_gaussian_with_its_width_at_half_maximum(width):
    weights = profile_weights(10 * width, bell=1.0)  # wide enough for fine steps
    centre, half = len(weights) // 2, round(5 * width)
    assert weights.sum() == pytest.approx(1)
    assert weights[centre + half] / weights[centre] == pytest.approx(0.5, abs=0.01)
    assert weights[centre + 2 * half] / weights[centre] == pytest.approx(0.5**4, abs=0.01)
    assert np.allclose(weights, weights[::-1])


def test_a_profile_between_box_and_bell_is_their_mixture():
    box, bell, between = (profile_weights(4, share) for share in (0.0, 1.0, 0.25))
    rim = (len(bell) - len(box)) // 2
    assert np.allclose(between, 0.25 * bell + 0.75 * np.pad(box, rim))


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_a_slab_preserves_a_ramp_except_at_the_ends(stack, factor):
    thick = slices(thin_out(stack(range(0, 700, 10)), factor, "slab"))
    assert thick[1:-1] == [10 * factor * n for n in range(1, len(thick) - 1)]


def test_the_thickness_stays_in_a_gap_and_becomes_the_spacing_in_a_slab(stack):
    thin = stack(THIN)
    gap, slab = (thin_out(thin, 3, profile).grid for profile in ("gap", "slab"))
    assert (gap.thickness, slab.thickness) == (1.0, 3.0)
    assert gap.matches(slab)
    assert gap.matches(thin.grid.coarsened(3))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thinning_runs_along_the_slice_axis(make_volume, axis, profile):
    along_k = make_volume((4, 3, 7), (1, 1, 1))
    moved = np.moveaxis(along_k.voxels, 0, 2 - axis)
    turned = make_volume(moved.shape[::-1], (1, 1, 1), slice_axis=axis, voxels=moved)
    thick = thin_out(turned, 2, profile)
    assert np.array_equal(np.moveaxis(thick.voxels, 2 - axis, 0), thin_out(along_k, 2, profile).voxels)
    assert thick.voxels.shape == thick.grid.size[::-1]


@pytest.mark.parametrize("profile", PROFILES)
def test_values_are_clipped_to_hu_rounded_and_stored_as_int16(stack, profile):
    thick = thin_out(stack([-3024, -3024, -3024, 30000, 30000.0], np.float64), 2, "gap")
    assert thick.voxels.dtype == np.int16
    assert slices(thick) == [-1024, -1024, 3071]
    assert slices(thin_out(stack([10.4, 10.4, 10.6, 10.6, 10.6], np.float32), 2, profile))[0] == 10


def test_the_thin_scan_is_unchanged_and_its_warnings_are_kept(stack):
    thin = replace(stack(THIN), warnings=("odd",))
    assert thin_out(thin, 2, "slab").warnings == ("odd",)
    assert slices(thin) == THIN


@pytest.mark.parametrize(
    ("factor", "profile", "rule"), [(2, "slap", "gap, slab"), (7, "gap", "at most 6"), (0, "gap", "whole")]
)
def test_invalid_arguments_are_refused_with_the_rule(stack, factor, profile, rule):
    with pytest.raises(SynthesisError, match=rule) as caught:
        thin_out(stack(THIN), factor, profile)
    assert caught.value.reason == "bad-option"
