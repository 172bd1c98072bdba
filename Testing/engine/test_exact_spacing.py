"""Exact spacing: slices at the requested positions, coinciding ones are acquired, everything else as with whole factors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.expected_error import ExpectedError
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import pipeline, predict
from CTSliceSynthesisEngine.synthesis.options import METHODS, THREE_VIEW, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.outputs import DISAGREEMENT, EXPECTED_ERROR
from CTSliceSynthesisEngine.synthesis.places import Places
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume import files


@pytest.fixture(autouse=True)
def exact_arithmetic(monkeypatch):
    """Convolve in float32, because the default precision depends on the machine."""
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


def run(scan, model=None, method=THREE_VIEW, **asked):
    recipe = model.recipe if model else PRESETS["compact"]
    options = SynthesisOptions(method=method, accept_isotropic=True, **asked)
    plan = make_plan(scan.grid, scan.voxels.dtype, options, recipe=recipe)
    return plan, pipeline.synthesize(scan, plan, model)


def test_slices_are_at_the_requested_positions():
    places = Places(4, 2.5)
    assert places.count == 8
    assert places.acquired == [(0, 0), (5, 2)]
    assert np.allclose(places.at, [0, 0.4, 0.8, 1.2, 1.6, 2, 2.4, 2.8])
    assert [places.new(gap) for gap in range(3)] == [slice(1, 3), slice(3, 5), slice(6, 8)]
    assert [np.round(places.positions(gap), 9).tolist() for gap in range(3)] == [[0.4, 0.8], [0.2, 0.6], [0.4, 0.8]]


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_whole_factor_fills_all_gaps_at_identical_positions(factor):
    places = Places(6, factor)
    assert places.count == 5 * factor + 1
    assert places.acquired == [(k * factor, k) for k in range(6)]
    assert list(places.alike()) == [(0, 5, [step / factor for step in range(1, factor)])]


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.5, 10 / 3, 4.0875, 8.7])
def test_every_slice_is_acquired_or_new_in_exactly_one_gap(factor):
    places = Places(11, factor)
    new = [number for gap in range(10) for number in range(places.count)[places.new(gap)]]
    assert sorted([*new, *(number for number, _ in places.acquired)]) == list(range(places.count))
    assert np.allclose(places.at, np.arange(places.count) / factor, atol=1e-3)
    runs = [(gap, t) for first, last, positions in places.alike() for gap in range(first, last) for t in positions]
    assert np.allclose([gap + t for gap, t in runs], places.at[new])
    by_place = {int(n): g + t for t, gaps, numbers in places.by_position() for g, n in zip(gaps, numbers, strict=True)}
    assert np.allclose([by_place[number] for number in new], places.at[new])


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_spacing_with_integer_ratio_equals_the_whole_factor(make_scan, tiny_model, method):
    scan, model = make_scan(size=(14, 12, 6)), tiny_model if method == THREE_VIEW else None
    plan, exact = run(scan, model, method, spacing=5 / 3, exact=True)
    _, whole = run(scan, model, method, factor=3)
    assert plan.factor == 3
    assert exact.volume.grid.matches(whole.volume.grid)
    assert np.array_equal(exact.volume.voxels, whole.volume.voxels)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spacing", [3.9, 2.0, 1.37])
def test_coinciding_slices_are_acquired_and_the_grid_gives_all_positions(make_scan, tiny_model, spacing, method):
    scan = make_scan(size=(14, 12, 9), thickness=5.0)
    plan, result = run(scan, tiny_model if method == THREE_VIEW else None, method, spacing=spacing, exact=True)
    grid, places = result.volume.grid, Places(9, plan.factor)
    assert grid.slice_spacing == pytest.approx(spacing, abs=1e-9)
    assert grid.origin == scan.grid.origin
    assert (grid.slice_count - 1) * spacing <= 8 * 5.0 + 1e-3 < grid.slice_count * spacing
    for number, source in places.acquired:
        assert np.array_equal(result.volume.voxels[number], scan.voxels[source])
        assert np.allclose(grid.ras((0, 0, number)), scan.grid.ras((0, 0, source)), atol=5e-3)


def test_cubic_reproduces_a_cubic_polynomial_at_every_position(make_volume):
    k = np.arange(8)[:, None, None] + np.zeros((1, 4, 5))
    scan = make_volume(size=(5, 4, 8), voxels=(k**3 - 5 * k**2 + 2 * k).astype(np.float64))
    plan, result = run(scan, None, "cubic", spacing=1.3, exact=True)
    at = Places(8, plan.factor).at
    inner = (at >= 1) & (at <= 6)  # near the ends, extrapolation is linear
    expected = at**3 - 5 * at**2 + 2 * at
    assert np.allclose(result.volume.voxels[inner, 2, 3], expected[inner], atol=1e-3)


def test_linear_reproduces_a_ramp_at_every_position(make_volume):
    scan = make_volume(size=(5, 4, 6), voxels=np.arange(6.0)[:, None, None] * 100 + np.zeros((1, 4, 5)))
    plan, result = run(scan, None, "linear", spacing=1.9, exact=True)
    assert np.allclose(result.volume.voxels[:, 0, 0], 100 * Places(6, plan.factor).at, atol=1e-3)


def test_networks_predict_each_slice_at_its_own_position(make_scan, tiny_model):
    """Compared with the predictor called gap by gap."""
    from CTSliceSynthesisEngine.synthesis.stack import UnitStack
    from CTSliceSynthesisEngine.synthesis.view_fusion import fuse
    from CTSliceSynthesisEngine.volume.intensity import as_voxels, to_hu

    scan = make_scan(size=(14, 12, 6), thickness=5.0)
    plan, result = run(scan, tiny_model, spacing=2.1, exact=True)
    stack, places = UnitStack(scan.voxels), Places(6, plan.factor)
    asked = predict.GapPredictor(tiny_model, predict.conditions(plan), torch.device("cpu"), torch.float32)
    for gap in range(5):
        answers = asked(torch.from_numpy(stack.around(gap, gap + 1)), places.positions(gap))
        expected = as_voxels(to_hu(fuse(answers, tiny_model.fusion).numpy()), np.int16)[0]
        assert np.array_equal(result.volume.voxels[places.new(gap)], expected)


def test_slabs_equal_the_whole_including_disagreement_and_texture(make_scan, tiny_model, monkeypatch):
    scan = make_scan(size=(14, 12, 7), thickness=5.0)
    asked = {"spacing": 2.5 / 1.5, "exact": True, "outputs": (DISAGREEMENT,), "texture": "even"}
    plan, at_once = run(scan, tiny_model, **asked)
    monkeypatch.setattr(pipeline, "_MIN_SLABS", 1)
    _, in_slabs = run(scan, tiny_model, **asked)
    assert np.array_equal(at_once.volume.voxels, in_slabs.volume.voxels)
    spread = at_once.outputs[DISAGREEMENT].voxels
    acquired = [number for number, _ in Places(7, plan.factor).acquired]
    assert np.array_equal(np.flatnonzero(~spread.any(axis=(1, 2))), acquired)


def test_the_expected_error_is_given_for_new_slices_only(make_scan, tiny_model):
    law = ExpectedError((-0.5, 0.3, 0.2, 0.1, 0.1, -0.1, 0.0, 0.1, *[0.02, -0.01] * 14, 0.3, 0.1, 0.0, 0.0))
    scan = make_scan(size=(14, 12, 7), thickness=5.0)
    plan, result = run(
        scan, replace(tiny_model, expected_error=law), spacing=2.0, exact=True, outputs=(EXPECTED_ERROR,)
    )
    stated = result.outputs[EXPECTED_ERROR].voxels
    acquired = [number for number, _ in Places(7, plan.factor).acquired]
    assert np.array_equal(np.flatnonzero(~stated.any(axis=(1, 2))), acquired)


def test_a_flipped_stack_gives_the_same_slices_at_equal_positions(make_scan, tiny_model):
    scan = make_scan(size=(14, 12, 7), thickness=5.0)
    turned = make_scan(size=(14, 12, 7), thickness=5.0)
    turned.voxels[:] = scan.voxels[::-1]
    (_, one), (_, other) = (run(each, tiny_model, spacing=3.75, exact=True) for each in (scan, turned))
    assert np.array_equal(one.volume.voxels, other.volume.voxels[::-1])


def test_isotropic_may_be_exact_and_the_remark_lists_the_acquired_slices(make_scan):
    scan = make_scan(size=(14, 12, 7), spacing=(1.0, 1.0, 2.5))
    plan, _ = run(scan, None, "linear", isotropic=True, exact=True)
    assert plan.factor == 2.5
    assert plan.output_grid.slice_spacing == pytest.approx(1.0)
    assert "4 of the 16 slices coincide with acquired ones and are copied (1, 6, 11, 16)" in plan.remarks[0]
    assert "including those near an acquired slice" in plan.remarks[0]
    plan, _ = run(scan, None, "linear", spacing=0.97, exact=True)
    assert plan.remarks[0].startswith("Only the first of the 16 slices")


@pytest.mark.parametrize("spacing", [5.0, 6.0, 0.099, 0.0, -1.0, float("nan")])
def test_invalid_spacings_are_refused(make_scan, spacing):
    with pytest.raises(SynthesisError, match=r"at least 0\.1 mm and less than the scan's 5 mm") as caught:
        run(make_scan(), None, "linear", spacing=spacing, exact=True)
    assert caught.value.reason == "bad-option"


def test_options_that_cannot_be_exact_are_refused(make_scan):
    scan = make_scan(thickness=5.0)
    with pytest.raises(SynthesisError, match="Exact requires a spacing"):
        run(scan, None, "linear", factor=3, exact=True)
    with pytest.raises(SynthesisError, match=r"for factor 2 only, not 3\.333"):
        make_plan(scan.grid, np.dtype("i2"), SynthesisOptions(spacing=1.5, exact=True), recipe=PRESETS["published"])
    with pytest.raises(SynthesisError, match=r"\(x3\.333\) keeps few"):
        make_plan(scan.grid, np.dtype("i2"), SynthesisOptions(spacing=1.5, exact=True, acquired="thin"))
    plan = make_plan(scan.grid, np.dtype("i2"), SynthesisOptions(spacing=0.5, exact=True))
    assert "10 times closer" in plan.remarks[1]


def test_the_command_reports_the_acquired_slices_and_the_header_the_factor(tmp_path, make_scan, write_scan, ctslices):
    write_scan(make_scan(thickness=5.0), tmp_path / "thick.nrrd")
    asked = ("--method", "cubic", "--spacing", 2, "--exact")
    done = ctslices("increase", tmp_path / "thick.nrrd", tmp_path / "thin.nrrd", *asked)
    assert done.returncode == 0, done.stderr
    assert "6 of the 28 slices coincide with acquired ones and are copied (1, 6, 11, 16, ...)" in done.stderr
    header = files.read_header(tmp_path / "thin.nrrd")
    assert header.origin["factor"] == "2.5"
    assert header.origin["asked"] == "exact=True method=cubic spacing=2.0"
    assert header.grid.slice_spacing == pytest.approx(2.0)
