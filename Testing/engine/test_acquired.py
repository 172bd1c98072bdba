"""Thinned acquired slices: replaced by thin estimates whose averages match the acquisition."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import pipeline, predict
from CTSliceSynthesisEngine.synthesis.acquired_slices import AcquiredPlaces, match_acquired, profile_averages
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.thinning import thin_out


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


@pytest.fixture
def thick(make_scan):
    return make_scan(thickness=5.0)


def run(scan, model, factor=4, acquired="thin", outputs=()):
    asked = SynthesisOptions(factor=factor, acquired=acquired, outputs=outputs)
    return pipeline.synthesize(scan, make_plan(scan.grid, scan.voxels.dtype, asked, recipe=model.recipe), model)


def test_averages_over_the_slice_profile_equal_thin_out(make_scan):
    thin = make_scan(size=(8, 9, 25))
    for factor in (3, 4):
        expected = thin_out(thin, factor, "slab").voxels
        assert np.abs(profile_averages(thin.voxels.astype(np.float32), factor, factor) - expected).max() <= 0.51


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.95, 1.0, 1.5])
def test_averages_are_restored_to_the_acquired_slices(make_scan, factor, width):
    slices = make_scan(size=(10, 9, 12)).voxels
    fine = np.zeros(((12 - 1) * factor + 1, 9, 10), np.int16)
    before = np.abs(profile_averages(fine.astype(np.float32), factor, width * factor) - slices).mean()
    match_acquired(fine, slices, factor, width * factor)
    after = np.abs(profile_averages(fine.astype(np.float32), factor, width * factor) - slices).mean()
    assert after < 0.2 * before


def test_padding_is_not_matched():
    slices = np.full((3, 2, 2), 100, np.int16)
    slices[:, 0, 0] = -2000
    fine = np.full((5, 2, 2), 100, np.int16)
    fine[:, 0, 0] = -2000
    match_acquired(fine, slices, 2, 2.0)
    assert (fine[:, 0, 0] == -2000).all() and (fine[:, 1] == 100).all()


def test_an_estimate_between_two_gaps_is_the_mean_of_both():
    fine = np.zeros((7, 1, 1), np.int16)
    places = AcquiredPlaces(fine, 3)
    places.put(0, 2, np.array([[[10.0]]]), np.array([[[20.0]]]))
    places.put(1, 2, np.array([[[30.0]]]), np.array([[[40.0]]]))
    assert fine.ravel().tolist() == [10, 0, 0, 25, 0, 0, 40]


def test_thinning_replaces_the_acquired_slices_and_records_it(thick, tiny_model):
    kept, thinned = run(thick, tiny_model, acquired="keep"), run(thick, tiny_model)
    assert np.array_equal(kept.volume.voxels[::4], thick.voxels)
    assert not np.array_equal(thinned.volume.voxels[::4], thick.voxels)
    assert (kept.volume.grid.thickness, thinned.volume.grid.thickness) == (5.0, 1.25)
    off = profile_averages(thinned.volume.voxels.astype(np.float32), 4, 4) - thick.voxels
    assert np.abs(off).mean() < 5


def test_disagreement_is_reported_for_every_synthesized_slice(thick, tiny_model):
    kept, thinned = (
        run(thick, tiny_model, acquired=way, outputs=("disagreement",)).outputs["disagreement"]
        for way in ("keep", "thin")
    )
    assert kept.voxels[::4].max() == 0
    assert thinned.voxels[::4].max() > 0
    assert np.array_equal(kept.voxels[1::4], thinned.voxels[1::4])


def test_a_flipped_stack_gives_the_flipped_result(make_scan, thick, tiny_model):
    over = make_scan(thickness=5.0, size=thick.grid.size)
    over.voxels[:] = thick.voxels[::-1]
    assert (
        np.abs(run(over, tiny_model).volume.voxels[::-1].astype(int) - run(thick, tiny_model).volume.voxels).max() <= 1
    )


def test_acquired_slices_that_are_already_thin_are_kept_with_a_remark(make_scan, tiny_model):
    scan = make_scan(thickness=1.0)
    plan = make_plan(
        scan.grid, scan.voxels.dtype, SynthesisOptions(factor=2, acquired="thin"), recipe=tiny_model.recipe
    )
    assert plan.acquired == "keep"
    assert "are kept" in plan.remarks[-1]
    assert np.array_equal(pipeline.synthesize(scan, plan, tiny_model).volume.voxels[::2], scan.voxels)


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        ({"acquired": "blur"}, "compact"),
        ({"acquired": "thin", "method": "cubic"}, "compact"),
        ({"precision": "int8"}, "compact"),
        ({"acquired": "thin"}, "published-narrow"),
    ],
)
def test_unsupported_options_are_refused(thick, options, recipe):
    with pytest.raises(SynthesisError) as caught:
        make_plan(thick.grid, thick.voxels.dtype, SynthesisOptions(**options), recipe=PRESETS[recipe])
    assert caught.value.reason == "bad-option"
