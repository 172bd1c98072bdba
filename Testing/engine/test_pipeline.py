"""The synthesis pipeline: acquired slices, geometry, padding and metal, disagreement, progress."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.expected_error import ExpectedError, terms
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import classical, pipeline, predict, scan_calibration
from CTSliceSynthesisEngine.synthesis.options import METHODS, THREE_VIEW, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
AIR, BODY = -1000, 40


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Convolve in float32, because the default precision depends on the machine."""
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


def run(scan, model=None, factor=2, method=THREE_VIEW, outputs=(), texture="estimate", **how):
    recipe = model.recipe if model else PRESETS["compact"]
    asked = SynthesisOptions(factor=factor, method=method, outputs=outputs, texture=texture, accept_isotropic=True)
    plan = make_plan(scan.grid, scan.voxels.dtype, asked, recipe=recipe)
    return pipeline.synthesize(scan, plan, model, **how)


def reporter(progress=lambda *step: None, say=lambda sentence: None):
    return SimpleNamespace(progress=progress, say=say)


def along(volume):
    """Return voxels with the slice axis first."""
    return np.moveaxis(volume.voxels, volume.slice_array_axis, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", TYPES)
def test_acquired_slices_are_unchanged(make_scan, tiny_model, dtype, method):
    scan = make_scan(size=(14, 12, 5), dtype=dtype)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if scan.voxels.dtype.kind in "iu" else (-1e30, 1e30)
    scan.voxels[2, :3, :3] = high  # far beyond the HU range, and not exact in float32
    scan.voxels[1, 6, :5] = low
    before = scan.voxels.copy()
    thin = run(scan, tiny_model if method == THREE_VIEW else None, 3, method).volume
    assert thin.voxels.dtype == np.dtype(dtype)
    assert thin.voxels.shape == (13, 12, 14)
    assert np.array_equal(thin.voxels[::3], before)
    assert np.array_equal(scan.voxels, before)  # the input is not changed


def test_fractional_hu_are_kept_in_acquired_and_new_slices(make_scan, tiny_model):
    scan = make_scan(dtype=np.float64)
    thin = run(scan, tiny_model).volume.voxels
    assert np.array_equal(thin[::2], scan.voxels)
    assert (thin[1::2] != np.rint(thin[1::2])).mean() > 0.9


def rotation(degrees, axis):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.roll(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), (axis - 2, axis - 2), axis=(0, 1))


SHEAR = np.array([[1, 0, 0], [0, 1, np.sin(0.3)], [0, 0, np.cos(0.3)]])
GEOMETRIES = {
    "axial": np.eye(3),
    "oblique": rotation(20, 0) @ rotation(-35, 1) @ rotation(10, 2),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "sheared": SHEAR,
    "sheared and oblique": rotation(15, 2) @ SHEAR,
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
}


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_landmarks_keep_their_position_in_the_patient(make_scan, tiny_model, name, slice_axis):
    """Every acquired voxel is at factor times its slice index, at the same RAS position; pixels are anisotropic."""
    spacing = np.roll([5.0, 0.7, 0.9], slice_axis)
    size = tuple(np.roll([4, 9, 8], slice_axis))
    scan = make_scan(size=size, spacing=spacing, directions=GEOMETRIES[name], slice_axis=slice_axis)
    thin = run(scan, tiny_model, 3).volume
    assert thin.grid.origin == scan.grid.origin
    assert thin.grid.slice_count == (4 - 1) * 3 + 1
    assert thin.grid.slice_spacing == pytest.approx(5.0 / 3)
    assert thin.grid.pixel_spacing == scan.grid.pixel_spacing
    assert thin.grid.tilt_degrees == pytest.approx(scan.grid.tilt_degrees)
    assert thin.grid.is_left_handed == scan.grid.is_left_handed
    stretch = np.ones(3, int)
    stretch[slice_axis] = 3
    for ijk in np.ndindex(*size):
        there = np.array(ijk) * stretch
        assert np.allclose(thin.grid.ras(there), scan.grid.ras(ijk), atol=1e-9)
        assert thin.voxels[tuple(there[::-1])] == scan.voxels[tuple(np.array(ijk)[::-1])]


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("method", [THREE_VIEW, "cubic"])
def test_a_stack_along_another_axis_gives_the_permuted_result(make_scan, tiny_model, order, method):
    """Axis n of the permuted scan is axis order[n] of the original, whose rows and columns differ."""
    upright = make_scan(size=(14, 12, 6), spacing=(0.7, 0.9, 5.0))
    matrix = upright.grid.matrix.copy()
    matrix[:, :3] = matrix[:, order]
    axes = tuple(2 - order[2 - n] for n in range(3))  # the same for arrays indexed (k, j, i)
    size = tuple(upright.grid.size[n] for n in order)
    turned = Volume(np.transpose(upright.voxels, axes), Grid(size, matrix, order.index(2)))
    exchanged = order.index(0) > order.index(1)  # rows and columns swapped: only the axial network distinguishes them
    fusion = (0.0, 0.5, 0.5) if exchanged else (0.5, 0.25, 0.25)
    model = replace(tiny_model, fusion=fusion) if method == THREE_VIEW else None
    expected, actual = (run(scan, model, 3, method).volume for scan in (upright, turned))
    difference = np.abs(actual.voxels.astype(int) - np.transpose(expected.voxels, axes))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_disagreement_is_zero_on_acquired_slices_and_int16_hu_between(make_scan, tiny_model):
    scan = make_scan(dtype=np.float32)
    result = run(scan, tiny_model, 3, outputs=("disagreement",))
    spread = result.outputs["disagreement"]
    assert spread.voxels.dtype == np.int16
    assert spread.grid.matches(result.volume.grid)
    assert not spread.voxels[::3].any()
    assert spread.voxels.min() == 0
    assert all(spread.voxels[k].max() > 5 for k in range(spread.grid.slice_count) if k % 3)
    assert run(scan, tiny_model).outputs == {}


def test_disagreement_is_the_standard_deviation_of_the_three_views(make_scan, tiny_model):
    scan = make_scan(size=(12, 10, 4))
    views = []
    for weights in np.eye(3):
        only = replace(tiny_model, fusion=tuple(weights))
        views.append(run(replace(scan, voxels=scan.voxels.astype(np.float32)), only).volume.voxels)
    spread = run(scan, tiny_model, outputs=("disagreement",)).outputs["disagreement"].voxels
    assert np.abs(spread - np.std(views, axis=0)).max() <= 0.51
    mean = run(replace(scan, voxels=scan.voxels.astype(np.float32)), tiny_model).volume.voxels
    assert np.allclose(mean, np.mean(views, axis=0), atol=1e-2)


def padded_scan(make_volume):
    """A body within scanner padding, with a screw; edges are sharp, so that interpolation would overshoot."""
    _, j, i = np.indices((8, 24, 24))
    voxels = np.where((i - 12) ** 2 + (j - 12) ** 2 < 64, BODY, AIR)
    voxels[(i - 12) ** 2 + (j - 12) ** 2 >= 121] = -2000
    voxels[:, :2] = -3024
    voxels[3:5, 11:14, 11:14] = 4000
    return make_volume((24, 24, 8), voxels=voxels.astype(np.int16))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 4])
def test_padding_and_metal_neither_change_nor_ring(make_volume, tiny_model, method, factor):
    scan = padded_scan(make_volume)
    thin = run(scan, tiny_model if method == THREE_VIEW else None, factor, method).volume.voxels
    assert np.array_equal(thin[::factor], scan.voxels)
    outside = (scan.voxels < -1024) | (scan.voxels > 3071)
    for gap in range(7):
        below, above = scan.voxels[gap], scan.voxels[gap + 1]
        beside = outside[gap] | outside[gap + 1]
        for step in range(1, factor):
            new = thin[gap * factor + step]
            line = np.rint(below + step / factor * (above.astype(float) - below))
            assert np.abs(new - line)[beside].max() <= 1
            near = dilated(np.any(outside[max(gap - 1, 0) : gap + 3], axis=0))
            assert (new >= np.minimum(below, above))[near].all()
            assert (new <= np.maximum(below, above))[near].all()
    assert (thin[:, :2] == -3024).all()  # padded columns stay padded


def dilated(mask):
    """Return the mask dilated by its eight neighbors."""
    grown = np.pad(mask, 1)
    return np.any([np.roll(grown, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)[1:-1, 1:-1]


def test_new_voxels_stay_within_the_hu_range(make_scan, randomize):
    torch.manual_seed(0)
    wild = randomize(Model.untrained(PRESETS["tiny"]), size=30.0)
    thin = run(make_scan(), wild).volume.voxels
    assert thin.min() == -1024
    assert thin.max() == 3071


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_two_slices_are_enough(make_scan, method):
    scan = make_scan(size=(9, 8, 2))
    thin = run(scan, None, 4, method).volume.voxels
    line = np.linspace(scan.voxels[0], scan.voxels[1], 5)
    assert np.abs(thin - line).max() <= 0.51


@pytest.mark.parametrize("name", ["tiny", "published-narrow"])
def test_two_slices_of_odd_size_are_enough_for_the_networks(make_scan, randomize, name):
    torch.manual_seed(0)
    scan = make_scan(size=(9, 7, 2))
    thin = run(scan, randomize(Model.untrained(PRESETS[name]))).volume.voxels
    assert thin.shape == (3, 7, 9)
    assert np.array_equal(thin[::2], scan.voxels)


@pytest.mark.parametrize("method", ["linear", "cubic", "bspline"])
def test_the_pipeline_runs_the_classical_methods(make_scan, method):
    scan = make_scan()
    actual = run(scan, None, 3, method).volume
    expected = classical.interpolate_volume(scan, 3, method)
    assert np.array_equal(actual.voxels, expected.voxels)
    assert actual.grid.matches(expected.grid)


def test_warnings_of_the_input_stay_with_the_result(make_scan, tiny_model):
    scan = replace(make_scan(), warnings=("Look out.",))
    assert run(scan, tiny_model).volume.warnings == ("Look out.",)


@pytest.mark.parametrize("name", ["tiny", "published-narrow", "cubic"])
def test_progress_is_monotonic_and_complete(make_scan, monkeypatch, name):
    monkeypatch.setattr(pipeline, "_SLAB_VOXELS", 24 * 20)
    monkeypatch.setattr(classical, "_BAND_VOXELS", 12 * 20 * 5)
    told = []
    model = None if name == "cubic" else Model.untrained(PRESETS[name])
    method = name if name == "cubic" else THREE_VIEW
    run(make_scan(), model, method=method, reporter=reporter(lambda *step: told.append(step)))
    last_stage, last_done, total = told[-1]
    assert last_done == total > 1
    for stage in dict.fromkeys(stage for stage, _, _ in told):
        done = [step[1] for step in told if step[0] == stage]
        assert done == sorted(done)
        assert len({step[2] for step in told if step[0] == stage}) == 1
        assert max(done) <= told[[step[0] for step in told].index(stage)][2]
    stages = [stage for stage, _, _ in told]
    assert stages == sorted(stages, key=stages.index)  # in order
    assert last_stage == ("cubic" if name == "cubic" else "synthesize")


@pytest.mark.parametrize("method", [THREE_VIEW, "cubic"])
def test_raising_in_progress_stops_the_run(make_scan, tiny_model, monkeypatch, method):
    monkeypatch.setattr(pipeline, "_SLAB_VOXELS", 24 * 20)
    monkeypatch.setattr(classical, "_BAND_VOXELS", 12 * 20 * 5)
    told = []

    def stop(stage, done, total):
        told.append(done)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make_scan(), tiny_model if method == THREE_VIEW else None, method=method, reporter=reporter(stop))
    assert len(told) == 2


def test_a_failing_device_is_abandoned_once_and_the_cpu_gives_the_same_result(make_scan, tiny_model, monkeypatch):
    monkeypatch.setattr(pipeline, "_SLAB_VOXELS", 24 * 20 * 4)
    scan, said = make_scan(), []
    actual = run(scan, tiny_model, device=torch.device("cuda:99"), reporter=reporter(say=said.append)).volume
    assert np.array_equal(actual.voxels, run(scan, tiny_model).volume.voxels)
    assert len(said) == 1
    assert said[0].startswith("The device cuda:99 failed (")
    assert said[0].endswith("continuing on the CPU.")


def test_a_predictor_can_shrink_until_the_minimum(tiny_model):
    slices = torch.rand(5, 20, 24, generator=torch.Generator().manual_seed(0))
    predictor = predict.GapPredictor(tiny_model, [[1, 0, 1, 0.5, 1]] * 3, torch.device("cpu"), torch.float32)
    expected, times = predictor(slices, [0.5]), 0
    while predictor.shrink():
        times += 1
        assert times < 20
    assert times > 4
    assert torch.allclose(predictor(slices, [0.5]), expected, atol=1e-5)


def test_three_views_need_a_model_and_additional_outputs_need_three_views(make_scan, tiny_model):
    def refused(word, *arguments, **options):
        with pytest.raises(SynthesisError, match=word):
            run(make_scan(), *arguments, **options)

    refused("needs a model")
    refused("no views", method="cubic", outputs=("disagreement",))
    refused("cannot estimate its errors: choose three-view", method="cubic", outputs=("expected_error",))
    refused("no even texture", method="cubic", texture="even")
    refused("one of estimate, even, not 'grainy'", tiny_model, texture="grainy")
    refused("was never calibrated", tiny_model, outputs=("expected_error",))


CALIBRATION = ExpectedError((-0.5, 0.3, 0.2, 0.1, 0.1, -0.1, 0.0, 0.1, *[0.02, -0.01] * 14, 0.3, 0.1, 0.0, 0.0))


def test_the_expected_error_is_the_calibration_applied_to_each_gap(make_scan, tiny_model):
    """In slabs and on all gaps at once, together with the disagreement; the calibration is adapted to the scan."""
    scan = make_scan(size=(14, 12, 30), dtype=np.float32)
    model = replace(tiny_model, expected_error=CALIBRATION)
    result = run(scan, model, 2, outputs=("disagreement", "expected_error"))
    stated = along(result.outputs["expected_error"])
    assert stated.dtype == np.int16
    assert not stated[::2].any()
    plan = make_plan(
        scan.grid, scan.voxels.dtype, SynthesisOptions(factor=2, accept_isotropic=True), recipe=model.recipe
    )
    own = scan_calibration.scan_calibration(model, along(scan), plan, None, lambda *done: None, lambda sentence: None)
    padded = np.concatenate([2 * scan.voxels[:1] - scan.voxels[1:2], scan.voxels, scan.voxels[-1:]]).clip(-1024, 3071)
    for gap in (0, 13, 27):
        spread = torch.from_numpy(along(result.outputs["disagreement"])[2 * gap + 1].astype(np.float32))
        around = torch.from_numpy(padded[gap : gap + 4] + 1024)
        seen = terms(spread[None], around, [0.5], plan.relative_spacing, plan.thinning)
        assert np.abs(stated[2 * gap + 1] - own(seen).numpy()).max() < 1.5  # both volumes are rounded
    assert run(scan, model).outputs == {}


def test_even_texture_changes_only_new_slices_and_is_independent_of_slabs(make_scan, tiny_model, monkeypatch):
    scan = make_scan(size=(40, 36, 9))
    plain, textured = (along(run(scan, tiny_model, 3, texture=texture).volume) for texture in ("estimate", "even"))
    assert np.array_equal(textured[::3], along(scan))
    assert (textured[1::3] != plain[1::3]).mean() > 0.3
    monkeypatch.setattr(pipeline, "_MIN_SLABS", 1)
    assert np.array_equal(along(run(scan, tiny_model, 3, texture="even").volume), textured)
