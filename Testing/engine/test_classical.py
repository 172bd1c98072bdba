"""Linear, cubic and B-spline interpolation compared with polynomials, SciPy, and computation in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis import classical
from scipy.interpolate import make_interp_spline

METHODS = classical.METHODS


def noise(depth: int = 9, height: int = 5, width: int = 4) -> np.ndarray:
    return np.random.default_rng(depth).normal(0, 300, (depth, height, width)).astype(np.float32)


def polynomial(depth: int, factor: int, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a polynomial of the slice position at the acquired and at all result positions, (n, 1, 1)."""
    at = np.arange((depth - 1) * factor + 1) / factor
    values = np.polynomial.Polynomial([3.0, -2.0, 0.5, 0.25][: degree + 1])(at)[:, None, None].astype(np.float32)
    return values[::factor], values


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
def test_acquired_slices_are_unchanged_for_every_type(method: str, dtype: str) -> None:
    slices = np.abs(noise() / 20).astype(dtype)
    out = np.empty((25, 5, 4), dtype)
    classical.interpolate_into(slices, 3, method, out)
    assert np.array_equal(out[::3], slices)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize(("method", "degree"), [("linear", 1), ("bspline", 3)])
def test_each_method_reproduces_polynomials_of_its_degree(method: str, degree: int, factor: int) -> None:
    slices, expected = polynomial(7, factor, degree)
    np.testing.assert_allclose(classical.interpolate(slices, factor, method), expected, rtol=1e-5, atol=1e-5)


def test_cubic_reproduces_cubics_between_inner_slices_and_lines_everywhere() -> None:
    slices, expected = polynomial(7, 4, 3)
    np.testing.assert_allclose(classical.interpolate(slices, 4, "cubic")[4:-4], expected[4:-4], rtol=1e-5)
    slices, expected = polynomial(7, 4, 1)
    np.testing.assert_allclose(classical.interpolate(slices, 4, "cubic"), expected, atol=1e-5)


@pytest.mark.parametrize("depth", [4, 5, 6, 30])
def test_the_b_spline_equals_that_of_scipy(depth: int) -> None:
    slices = noise(depth)
    at = np.arange((depth - 1) * 3 + 1) / 3
    expected = make_interp_spline(np.arange(depth), slices, k=3, axis=0)(at)
    np.testing.assert_allclose(classical.interpolate(slices, 3, "bspline"), expected, atol=1e-3)


def test_midpoint_weights_of_the_cubic_are_the_known_sixteenths() -> None:
    np.testing.assert_array_equal(classical.weights(2, "cubic"), [[-1 / 16, 9 / 16, 9 / 16, -1 / 16]])
    np.testing.assert_array_equal(classical.weights(2, "linear"), [[0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_weights_applied_to_extrapolated_ends_equal_interpolate(method: str) -> None:
    slices, factor = noise(), 5
    padded = classical.extrapolate_ends(slices)
    whole = classical.interpolate(slices, factor, method)
    for phase, row in enumerate(classical.weights(factor, method), start=1):
        by_hand = sum(row[tap] * padded[tap : tap + len(slices) - 1] for tap in range(4))
        np.testing.assert_allclose(whole[phase::factor], by_hand, atol=1e-3)
        assert row.sum() == pytest.approx(1)


def test_cubic_of_two_slices_is_linear() -> None:
    slices = noise(2)
    np.testing.assert_allclose(
        classical.interpolate(slices, 4, "cubic"), classical.interpolate(slices, 4, "linear"), atol=1e-3
    )
    assert classical.interpolate(noise(3), 2, "cubic").shape == (5, 5, 4)


@pytest.mark.parametrize("method", METHODS)
def test_bands_of_rows_equal_one_piece(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = noise()
    whole = classical.interpolate(slices, 3, method)
    monkeypatch.setattr(classical, "_BAND_VOXELS", 2 * slices[:, 0].size)
    seen = []
    out = np.empty_like(whole)
    classical.interpolate_into(slices, 3, method, out, lambda *report: seen.append(report))
    assert np.array_equal(out, whole)
    assert seen == [(method, 2, 5), (method, 4, 5), (method, 5, 5)]


@pytest.mark.parametrize("method", ["cubic", "bspline"])
def test_overshoot_saturates_instead_of_wrapping_around(method: str) -> None:
    step = np.array([0, 0, 0, 255, 255, 255], np.uint8)[:, None, None]
    out = np.empty((11, 1, 1), np.uint8)
    classical.interpolate_into(step, 2, method, out)
    assert out[5] == 128
    assert out[3] == 0 and out[7] == 255


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_volume_is_refined_along_its_own_slice_axis(make_volume, method: str, slice_axis: int) -> None:
    thick = make_volume((6, 7, 8), slice_axis=slice_axis, voxels=noise(8, 7, 6).astype(np.int16), thickness=3.0)
    thin = classical.interpolate_volume(thick, 3, method)
    assert thin.grid.matches(thick.grid.refined(3)) and thin.grid.thickness == 3.0
    assert thin.voxels.dtype == np.int16
    slices = np.moveaxis(thick.voxels, 2 - slice_axis, 0).astype(np.float32)
    expected = np.rint(classical.interpolate(slices, 3, method))
    assert np.array_equal(np.moveaxis(thin.voxels, 2 - slice_axis, 0), expected)


@pytest.mark.parametrize(
    ("depth", "factor", "method", "words"),
    [
        (3, 2, "bspline", "at least 4 slices, found 3; choose linear or cubic"),
        (1, 2, "linear", "at least 2 slices, found 1"),
        (5, 2, "sinc", "linear, cubic, bspline, not 'sinc'"),
        (5, 0, "cubic", "factor must be a whole number"),
    ],
)
def test_invalid_arguments_are_refused_with_a_message(depth: int, factor: int, method: str, words: str) -> None:
    with pytest.raises(SynthesisError, match=words) as caught:
        classical.interpolate(noise(depth), factor, method)
    assert caught.value.reason == "bad-option"


def test_a_b_spline_has_no_local_weights() -> None:
    with pytest.raises(SynthesisError, match="Only linear and cubic"):
        classical.weights(2, "bspline")
