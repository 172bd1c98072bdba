import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import intensity

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def test_the_unit_range_starts_at_air_and_one_unit_is_4096_hu():
    unit = intensity.to_unit(np.array([-1024, 0, 1024, 3071], np.int16))
    assert unit.dtype == np.float32
    assert unit.tolist() == [0, 0.25, 0.5, 4095 / 4096]


def test_padding_and_metal_are_clipped_to_the_unit_range():
    assert intensity.to_unit(np.array([-3024, 30000])).tolist() == [0, 4095 / 4096]


def test_every_integer_hu_survives_the_round_trip_exactly():
    hu = np.arange(intensity.HU_MIN, intensity.HU_MAX + 1)
    back = intensity.to_hu(intensity.to_unit(hu))
    assert back.dtype == np.float32
    assert np.array_equal(back, hu)


@pytest.mark.parametrize("dtype", [*INTEGERS, np.float32, np.float64])
def test_every_voxel_type_is_converted_without_changing_the_input(dtype):
    hu = np.array([0, 100], dtype)
    assert np.allclose(intensity.to_unit(hu), [1024 / 4096, 1124 / 4096])
    assert hu.tolist() == [0, 100]


def test_integers_are_rounded_and_saturate():
    hu = np.array([-2000.0, 0.4, 1.6, 300.0, 70000.0], np.float32)
    assert intensity.as_voxels(hu, np.int16).tolist() == [-2000, 0, 2, 300, 32767]
    assert intensity.as_voxels(hu, np.uint8).tolist() == [0, 0, 2, 255, 255]
    assert intensity.as_voxels(hu, np.float64).tolist() == hu.tolist()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_no_integer_type_wraps_around(dtype):
    limits = np.iinfo(dtype)
    low, high = intensity.as_voxels(np.array([-1e30, 1e30], np.float32), dtype).tolist()
    assert low <= max(limits.min, -(2**31)) <= 0
    assert high >= min(limits.max, 2**31 - 128) > 0


@pytest.mark.parametrize(
    ("voxels", "word"),
    [
        ([1.0, np.nan], "NaN"),
        ([1.0, np.inf], "infinite"),
        ([-np.inf, 1.0], "infinite"),
        ([7, 7], "value 7"),
        ([], "no voxels"),
    ],
)
def test_unusable_voxels_are_reported(voxels, word):
    (problem,) = intensity.problems(np.array(voxels))
    assert word in problem
    with pytest.raises(SynthesisError, match=word) as caught:
        intensity.check(np.array(voxels))
    assert caught.value.reason == "bad-input"


def test_usable_voxels_have_no_problems():
    assert intensity.problems(np.array([-3024, 30000])) == []
    intensity.check(np.array([0.5, 1.5]))


@pytest.mark.parametrize(
    ("low", "high", "is_hu"),
    [(-1000, 1500, True), (-3024, 30000, True), (0, 255, False), (0.0, 1.0, False), (0, 4095, False)],
)
def test_a_ct_contains_values_as_low_as_fat_or_air(low, high, is_hu):
    assert intensity.looks_like_hu(np.array([low, high])) is is_hu
