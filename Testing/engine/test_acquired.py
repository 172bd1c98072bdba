"""Thin everywhere: slices as thin as the new ones in the places of the acquired ones, which still agree with them."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import pipeline, predict
from CTSliceSynthesisEngine.synthesis.acquired_slices import AcquiredPlaces, agree, averages
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.thinning import thin_out


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


@pytest.fixture
def thick(make_scan):
    return make_scan(thickness=5.0)


def made(scan, model, factor=4, acquired="thin", outputs=()):
    asked = SynthesisOptions(factor=factor, acquired=acquired, outputs=outputs)
    return pipeline.synthesize(scan, make_plan(scan.grid, scan.voxels.dtype, asked, recipe=model.recipe), model)


def test_an_average_over_the_slices_profile_is_that_of_thin_out(make_scan):
    thin = make_scan(size=(8, 9, 25))
    for factor in (3, 4):
        expected = thin_out(thin, factor, "slab").voxels
        assert np.abs(averages(thin.voxels.astype(np.float32), factor, factor) - expected).max() <= 0.51


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.95, 1.0, 1.5])
def test_what_was_acquired_is_what_the_averages_come_back_to(make_scan, factor, width):
    slices = make_scan(size=(10, 9, 12)).voxels
    fine = np.zeros(((12 - 1) * factor + 1, 9, 10), np.int16)
    before = np.abs(averages(fine.astype(np.float32), factor, width * factor) - slices).mean()
    agree(fine, slices, factor, width * factor)
    after = np.abs(averages(fine.astype(np.float32), factor, width * factor) - slices).mean()
    assert after < 0.2 * before


def test_padding_is_nothing_to_agree_with():
    slices = np.full((3, 2, 2), 100, np.int16)
    slices[:, 0, 0] = -2000
    fine = np.full((5, 2, 2), 100, np.int16)
    fine[:, 0, 0] = -2000
    agree(fine, slices, 2, 2.0)
    assert (fine[:, 0, 0] == -2000).all() and (fine[:, 1] == 100).all()


def test_an_estimate_between_two_gaps_is_the_mean_of_both():
    fine = np.zeros((7, 1, 1), np.int16)
    places = AcquiredPlaces(fine, 3)
    places.put(0, 2, np.array([[[10.0]]]), np.array([[[20.0]]]))
    places.put(1, 2, np.array([[[30.0]]]), np.array([[[40.0]]]))
    assert fine.ravel().tolist() == [10, 0, 0, 25, 0, 0, 40]


def test_thin_everywhere_replaces_the_acquired_slices_and_says_so(thick, tiny_model):
    kept, thinned = made(thick, tiny_model, acquired="keep"), made(thick, tiny_model)
    assert np.array_equal(kept.volume.voxels[::4], thick.voxels)
    assert not np.array_equal(thinned.volume.voxels[::4], thick.voxels)
    assert (kept.volume.grid.thickness, thinned.volume.grid.thickness) == (5.0, 1.25)
    off = averages(thinned.volume.voxels.astype(np.float32), 4, 4) - thick.voxels
    assert np.abs(off).mean() < 5


def test_what_the_views_differ_by_is_told_of_every_slice_that_was_made(thick, tiny_model):
    kept, thinned = (
        made(thick, tiny_model, acquired=way, outputs=("disagreement",)).outputs["disagreement"]
        for way in ("keep", "thin")
    )
    assert kept.voxels[::4].max() == 0
    assert thinned.voxels[::4].max() > 0
    assert np.array_equal(kept.voxels[1::4], thinned.voxels[1::4])


def test_a_stack_turned_over_is_thinned_to_the_same_slices_turned_over(make_scan, thick, tiny_model):
    over = make_scan(thickness=5.0, size=thick.grid.size)
    over.voxels[:] = thick.voxels[::-1]
    assert (
        np.abs(made(over, tiny_model).volume.voxels[::-1].astype(int) - made(thick, tiny_model).volume.voxels).max()
        <= 1
    )


def test_slices_that_are_thin_already_are_kept_with_a_remark(make_scan, tiny_model):
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
def test_what_cannot_be_done_is_refused(thick, options, recipe):
    with pytest.raises(SynthesisError) as caught:
        make_plan(thick.grid, thick.voxels.dtype, SynthesisOptions(**options), recipe=PRESETS[recipe])
    assert caught.value.reason == "bad-option"
