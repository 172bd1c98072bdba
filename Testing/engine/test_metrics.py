"""Metrics compared with scikit-image, SciPy and hand-computed numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.evaluation import metrics
from CTSliceSynthesisEngine.evaluation.body_mask import body_mask, convex_hull
from CTSliceSynthesisEngine.volume.volume import Volume
from scipy.stats import spearmanr

SIZE = (36, 33, 21)


def phantom(seed: int = 0) -> np.ndarray:
    """Return (k, j, i) int16: an elliptic body of soft tissue with a lung and a bone in air, with slight noise."""
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in SIZE[::-1]], indexing="ij")
    values = np.full(k.shape, -930.0)
    values[i**2 + (j / 0.8) ** 2 < 0.9] = 50
    values[(i - 0.4) ** 2 + j**2 + (k / 3) ** 2 < 0.1] = -800
    values[(i + 0.4) ** 2 + j**2 < 0.16] = 600
    return (values + np.random.default_rng(seed).normal(0, 12, values.shape)).astype(np.int16)


@pytest.fixture
def truth(make_volume) -> Volume:
    return make_volume(SIZE, (0.8, 0.8, 1.0), voxels=phantom())


def changed(volume: Volume, voxels: np.ndarray) -> Volume:
    return replace(volume, voxels=voxels)


@pytest.mark.parametrize("shape", [(11, 11), (24, 40), (33, 17)])
def test_ssim_equals_scikit_image(shape: tuple[int, int]) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(1)
    first = rng.normal(0, 400, (3, *shape)).astype(np.float32)
    second = first + rng.normal(0, 150, first.shape).astype(np.float32)
    settings = {"data_range": 4095, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [skimage.structural_similarity(a, b, **settings) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(metrics.ssim(first, second), expected, atol=1e-6)


def test_ssim_of_planes_smaller_than_its_window_is_nan_and_not_averaged(truth: Volume) -> None:
    short = replace(truth, voxels=truth.voxels[:9], grid=replace(truth.grid, size=(*SIZE[:2], 9)))
    figures = metrics.score(short, changed(short, short.voxels + np.int16(20)), 2)
    assert np.isnan(figures["ssim_coronal"]) and np.isnan(figures["ssim_sagittal"])
    assert figures["ssim"] == figures["ssim_axial"]


def test_the_convex_hull_equals_scikit_image() -> None:
    morphology = pytest.importorskip("skimage.morphology")
    rng = np.random.default_rng(2)
    for density in (0.005, 0.02, 0.1, 0.5):
        for _ in range(25):
            plane = rng.random(rng.integers(2, 50, 2)) < density
            plane[tuple(rng.integers(0, plane.shape))] = True
            assert np.array_equal(convex_hull(plane), morphology.convex_hull_image(plane))


def test_the_hull_of_two_pixels_spans_the_rows_between_them() -> None:
    plane = np.zeros((7, 7), bool)
    plane[1, 1] = plane[5, 5] = True
    assert np.array_equal(np.flatnonzero(np.diag(convex_hull(plane))), [1, 2, 3, 4, 5])
    assert not convex_hull(np.zeros((3, 3), bool)).any()


def test_the_body_includes_the_lungs_but_neither_air_nor_the_table() -> None:
    slices = phantom()
    slices[:, -2] = 300  # a table under the patient
    body = body_mask(slices)
    centre, lung = (10, 16, 17), (10, 16, 25)
    assert body[centre] and body[lung] and slices[lung] < -700
    assert not body[:, 0].any() and not body[:, -2].any()
    assert body_mask(np.full((2, 3, 4), -1000)).all()


def test_psnr_of_a_thousandth_of_the_peak_is_sixty_decibel() -> None:
    assert metrics.psnr(np.full(10, 4.095)) == pytest.approx(60)
    assert metrics.psnr(np.zeros(10)) == np.inf


def test_a_perfect_result_has_perfect_metrics(truth: Volume) -> None:
    figures = metrics.score(truth, truth, 2)
    assert figures["psnr_db"] == figures["psnr_body_db"] == np.inf
    assert figures["ssim"] == pytest.approx(1) and figures["mae_hu"] == 0
    assert "acquired_max_error_hu" not in figures


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_only_synthesized_slices_count(truth: Volume, factor: int) -> None:
    count = (SIZE[2] - 1) // factor * factor + 1
    truth = replace(truth, voxels=truth.voxels[:count], grid=replace(truth.grid, size=(*SIZE[:2], count)))
    voxels = truth.voxels.copy()
    voxels[np.arange(count) % factor != 0] += 10
    figures = metrics.score(truth, changed(truth, voxels), factor)
    assert figures["mae_hu"] == figures["mae_body_hu"] == pytest.approx(10)
    assert figures["psnr_db"] == pytest.approx(20 * np.log10(409.5), abs=1e-4)
    voxels[::factor] += 500
    assert metrics.score(truth, changed(truth, voxels), factor)["mae_hu"] == figures["mae_hu"]


def test_bias_is_signed_and_reported_per_tissue(truth: Volume) -> None:
    voxels = truth.voxels.copy()
    voxels[truth.voxels >= 200] -= 40
    figures = metrics.score(truth, changed(truth, voxels), 2)
    assert figures["bias_bone_hu"] == pytest.approx(-40, abs=1e-3)
    assert figures["bias_soft_hu"] == 0
    assert "bias_fat_hu" not in figures, "there is no fat in this phantom"


def test_regions_are_delineated_independently_of_noise_in_the_held_out_slices(make_volume) -> None:
    """Lung at the end of its range: noise moves the darkest voxels out of it, and the correct result seems too dark."""
    right = np.full((9, 60, 60), 40, np.int16)
    right[:, 5:-5, 5:-5] = -930
    noisy = right.copy()
    noisy[1::2] += np.random.default_rng(0).normal(0, 40, (4, 60, 60)).astype(np.int16)
    truth, result = (make_volume((60, 60, 9), voxels=voxels) for voxels in (noisy, right))
    figures = metrics.score(truth, result, 2)
    assert figures["bias_lung_hu"] < -10
    assert figures["region_bias_lung_hu"] == pytest.approx(0, abs=1.5)


def test_the_context_between_two_slices_is_their_mean() -> None:
    slices = np.zeros((7, 30, 30), np.float32)
    slices[3], slices[6] = 60, 120
    slices[[1, 2, 4, 5]] = 1000
    assert np.allclose(metrics.acquired_context(slices, 3)[:, 0, 0], [30, 30, 90, 90])


def test_values_beyond_the_ct_range_are_clipped(truth: Volume) -> None:
    padded = truth.voxels.copy()
    padded[:, 0] = -1024
    beyond = padded.copy()
    beyond[:, 0] = -2000
    assert metrics.score(changed(truth, padded), changed(truth, beyond), 2)["mae_hu"] == 0


def test_acquired_slices_are_compared_without_clipping(truth: Volume) -> None:
    thick = replace(truth, voxels=truth.voxels[::2], grid=truth.grid.coarsened(2))
    assert metrics.score(truth, truth, 2, thick)["acquired_max_error_hu"] == 0
    voxels = truth.voxels.copy()
    voxels[4, 0, 0] = -3024
    expected = float(truth.voxels[4, 0, 0]) + 3024
    assert metrics.score(truth, changed(truth, voxels), 2, thick)["acquired_max_error_hu"] == expected


@pytest.mark.parametrize("slice_axis", [0, 1])
def test_metrics_do_not_depend_on_the_slice_axis(make_volume, truth: Volume, slice_axis: int) -> None:
    result = truth.voxels + np.random.default_rng(3).integers(-90, 90, truth.voxels.shape).astype(np.int16)
    expected = metrics.score(truth, changed(truth, result), 2)
    turned = [np.moveaxis(voxels, 0, 2 - slice_axis) for voxels in (truth.voxels, result)]
    volumes = [make_volume(v.shape[::-1], (1, 1, 1), slice_axis=slice_axis, voxels=v) for v in turned]
    assert metrics.score(*volumes, 2) == pytest.approx(expected, nan_ok=True)


def test_texture_is_the_remaining_share_of_noise() -> None:
    rng = np.random.default_rng(4)
    slices = 60 + rng.normal(0, 4, (41, 48, 48)).astype(np.float32)
    assert metrics.texture(slices, 2) == pytest.approx(1, abs=0.03)
    slices[1::2] = 60 + (slices[1::2] - 60) / 2
    assert metrics.texture(slices, 2) == pytest.approx(0.5, abs=0.03)
    assert np.isnan(metrics.texture(np.full((5, 9, 9), -1000, np.float32), 2))


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [("psnr_db", 40, 38), ("ssim", 0.9, 0.8), ("mae_hu", 3, 4), ("bias_bone_hu", -2, 3), ("texture", 1.1, 0.8)],
)
def test_shortfall_knows_which_way_is_better(metric: str, better: float, worse: float) -> None:
    assert metrics.shortfall(metric, better) < metrics.shortfall(metric, worse)


def test_another_grid_is_refused_with_both_sizes(make_volume, truth: Volume) -> None:
    shifted = make_volume(SIZE, (0.8, 0.8, 1.0), origin=(0, 0, 0), voxels=truth.voxels)
    with pytest.raises(SynthesisError, match="grid of the scan") as caught:
        metrics.score(truth, shifted, 2)
    assert caught.value.reason == "bad-geometry" and str(SIZE) in str(caught.value)


def test_unsigned_voxels_can_be_scored(make_volume) -> None:
    truth = make_volume(SIZE, voxels=np.clip(phantom(), 0, 250).astype(np.uint8))
    assert metrics.score(truth, truth, 2)["mae_hu"] == 0


def test_rank_correlation_equals_spearman_also_with_ties() -> None:
    rng = np.random.default_rng(5)
    error = rng.integers(-30, 30, 4000)
    disagreement = np.abs(error) // 3 + rng.integers(0, 8, error.size)
    expected = spearmanr(disagreement, np.abs(error)).statistic
    assert metrics.rank_correlation(disagreement, error) == pytest.approx(expected)
    assert metrics.rank_correlation(error**2, error) == pytest.approx(1)
    assert np.isnan(metrics.rank_correlation(np.zeros(5), np.arange(5)))


def test_rank_correlation_of_many_voxels_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    error, disagreement = rng.normal(size=(2, 50_000))
    disagreement += np.abs(error)
    whole = metrics.rank_correlation(disagreement, error)
    monkeypatch.setattr(metrics, "_RANKED", 20_000)
    drawn = metrics.rank_correlation(disagreement, error)
    assert drawn == metrics.rank_correlation(disagreement, error) != whole
    assert drawn == pytest.approx(whole, abs=0.03)


def test_worst_share_ranges_from_none_over_chance_to_all() -> None:
    error = np.arange(1000.0)
    assert metrics.worst_share(error, error) == 1
    assert metrics.worst_share(-error, error) == 0
    assert metrics.worst_share(np.zeros(1000), error) == pytest.approx(0.1)


def test_disagreement_is_evaluated_on_synthesized_voxels_in_the_body(make_volume, truth: Volume) -> None:
    rng = np.random.default_rng(7)
    error = rng.normal(0, 30, truth.voxels.shape).astype(np.float32)
    result = changed(truth, truth.voxels + error)
    spread = np.abs(error)
    spread[::2] = 1e6  # acquired slices are ignored
    spread[:, 0] = 1e6  # so is air
    figures = metrics.disagreement_figures(truth, result, changed(truth, spread), 2)
    assert figures["disagreement_rank_correlation"] == pytest.approx(1, abs=1e-3)
    assert figures["disagreement_worst_share"] == 1
