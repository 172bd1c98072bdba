"""Metrics of a result against the ground truth.

Only synthesized slices are evaluated, because acquired ones are copies and would flatter every method (by 3 dB PSNR at
factor 2); coronal and sagittal SSIM include both, as readers see both. Arrays have the slice axis first, and HU are clipped
to [HU_MIN, HU_MAX].
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import SynthesisError
from ..volume.intensity import HU_MAX, HU_MIN
from ..volume.volume import Volume
from .body_mask import body_mask

PEAK_HU = HU_MAX - HU_MIN
"""Peak of PSNR and data range of SSIM."""

TISSUES = {"air": (-1024, -950), "lung": (-950, -500), "fat": (-150, -30), "soft": (0, 120), "bone": (200, 3071)}
"""Tissue -> HU range, lower bound inclusive, upper bound exclusive."""

FEWEST_VOXELS = 1000
"""A bias over fewer voxels than this is not significant and is omitted."""

_SIGMA = 1.5  # pixels; SSIM's Gaussian window, truncated to 11 x 11 (Wang et al. 2004)
_RADIUS = 5
_PLANES = 48  # approximate number of planes per direction for SSIM
_OUTLINE = 2.0  # pixels; without smoothing, regions would follow the noise of the acquired slices
_RANKED = 2_000_000  # maximum number of ranked voxels


def score(truth: Volume, result: Volume, factor: int, thick: Volume | None = None) -> dict[str, float]:
    """Compute all metrics of a result.

    Args:
        truth: the thin scan, cropped to end on an acquired slice.
        result: synthesized from every `factor`-th slice, on the same grid.
        factor: slices per acquired slice.
        thick: the acquired slices as input, to verify that they are unchanged.

    Returns:
        psnr_db, psnr_body_db: peak 4095 HU; `body` excludes the air around the patient.
        ssim, and its parts ssim_axial (across the slice axis), ssim_coronal, ssim_sagittal (the two reformats).
        mae_hu, mae_body_hu: mean absolute error.
        mean_error_body_hu: mean signed error; positive if too bright.
        texture: see `texture`.
        bias_<tissue>_hu: mean error in the body for each tissue present: voxels whose ground truth is in its range.
        region_bias_<tissue>_hu: the same for regions delineated on the acquired slices.
        acquired_max_error_hu: with `thick` only; must be 0.
        NaN where a metric is undefined, e.g. SSIM of planes smaller than its window.

    Raises:
        SynthesisError: bad-geometry if the volumes do not match.
    """
    _check_match(truth.grid.matches(result.grid), "result", result, truth)
    true_slices, result_slices = slices_first(truth), slices_first(result)
    new = synthesized(len(true_slices), factor)
    error = result_slices[new] - true_slices[new]
    body = body_mask(true_slices)[new]
    figures = _errors(error, body) | _ssim_figures(true_slices, result_slices, new)
    figures["texture"] = texture(result_slices, factor)
    figures |= _bias("bias", true_slices[new], error, body)
    figures |= _bias("region_bias", acquired_context(true_slices, factor), error, body)
    if thick is not None:
        figures["acquired_max_error_hu"] = _acquired_error(result, thick, factor)
    return figures


def shortfall(metric: str, value: float) -> float:
    """Return the distance of a metric from its ideal value, up to a constant; smaller is better. NaN stays NaN."""
    if metric.startswith(("psnr", "ssim")):
        return -value
    return abs(value - 1) if metric == "texture" else abs(value)


def synthesized(count: int, factor: int) -> np.ndarray:
    """Return the indices of the synthesized slices among `count` slices."""
    return np.flatnonzero(np.arange(count) % factor)


def psnr(error: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB of an error in HU, with peak 4095 HU; infinite without error."""
    power = float(np.mean(np.square(error))) if error.size else float("nan")
    return float(10 * np.log10(PEAK_HU**2 / power)) if power else float("inf")


def ssim(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Return the structural similarity of planes: (n, H, W) x 2 -> (n,), Gaussian window, range 4095 HU (Wang et al. 2004).

    The outer five pixels, where the window exceeds the image, are excluded; NaN if nothing is left.
    """
    if min(truth.shape[1:]) < 2 * _RADIUS + 1:
        return np.full(len(truth), np.nan)
    return np.array([_ssim(a, b) for a, b in zip(truth, result, strict=True)])


def _ssim(truth: np.ndarray, result: np.ndarray) -> float:
    c1, c2 = (0.01 * PEAK_HU) ** 2, (0.03 * PEAK_HU) ** 2
    mean_t, mean_r = _local_mean(truth), _local_mean(result)
    square_t, square_r, product = mean_t * mean_t, mean_r * mean_r, mean_t * mean_r
    variance = _local_mean(truth * truth) + _local_mean(result * result) - square_t - square_r
    covariance = _local_mean(truth * result) - product
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((square_t + square_r + c1) * (variance + c2))
    return float(similarity.mean(dtype=np.float64))


def _local_mean(plane: np.ndarray) -> np.ndarray:
    """Return the Gaussian-weighted mean around each pixel, (H, W) -> (H-10, W-10)."""
    inner = slice(_RADIUS, -_RADIUS)
    mean: np.ndarray = ndimage.gaussian_filter(plane, _SIGMA, radius=_RADIUS)
    return mean[inner, inner]


def _ssim_figures(truth: np.ndarray, result: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """Return SSIM per direction over about 48 planes, and the mean over directions where it is defined."""
    means = {}
    for axis, name in enumerate(("axial", "coronal", "sagittal")):
        planes = new[:: max(1, len(new) // _PLANES)] if axis == 0 else _reformats(truth.shape[axis])
        values = ssim(*(np.moveaxis(stack, axis, 0)[planes] for stack in (truth, result)))
        means[f"ssim_{name}"] = float(values.mean()) if values.size else float("nan")
    known = [value for value in means.values() if not np.isnan(value)]
    return {"ssim": float(np.mean(known)) if known else float("nan")} | means


def _reformats(size: int) -> np.ndarray:
    """Return the indices of reformat planes, without the outer eight."""
    return np.arange(8, size - 8, max(1, size // _PLANES))


def texture(slices: np.ndarray, factor: int) -> float:
    """Return the noise ratio of homogeneous soft tissue, synthesized over acquired slices; 1 means no stripes in reformats."""
    smooth = ndimage.gaussian_filter(slices, (0, 2, 2))
    edges = ndimage.generic_gradient_magnitude(smooth, ndimage.sobel)
    homogeneous = (smooth > 0) & (smooth < 120) & (edges < 60)
    noise = slices - smooth
    new = synthesized(len(slices), factor)
    acquired = slice(None, None, factor)
    spread_new, spread_kept = (noise[which][homogeneous[which]] for which in (new, acquired))
    if not spread_new.size or not spread_kept.size or not spread_kept.std():
        return float("nan")
    return float(spread_new.std() / spread_kept.std())


def _errors(error: np.ndarray, body: np.ndarray) -> dict[str, float]:
    inside = error[body]
    return {
        "psnr_db": psnr(error),
        "psnr_body_db": psnr(inside),
        "mae_hu": _mean(np.abs(error)),
        "mae_body_hu": _mean(np.abs(inside)),
        "mean_error_body_hu": _mean(inside),
    }


def _bias(name: str, selector: np.ndarray, error: np.ndarray, body: np.ndarray) -> dict[str, float]:
    """Return the mean error in each tissue.

    Selected by ground truth, a tissue includes voxels that noise moved into its range and excludes those moved out; since no
    estimate reproduces noise, even the best one shows a bias at the ends of the range. Regions delineated independently of
    this noise, as by a radiologist measuring a mean, show no such bias.
    """
    biases = {}
    for tissue, (low, high) in TISSUES.items():
        inside = error[(selector >= low) & (selector < high) & body]
        if inside.size > FEWEST_VOXELS:
            biases[f"{name}_{tissue}_hu"] = _mean(inside)
    return biases


def acquired_context(slices: np.ndarray, factor: int) -> np.ndarray:
    """Return the smoothed mean of the acquired slices below and above each synthesized voxel.

    Args:
        slices: (D, H, W) the thin scan, HU; every `factor`-th slice counts as acquired.

    Returns:
        (D - acquired, H, W) HU, Gaussian sigma _OUTLINE pixels; independent of the noise of the slices in between.
    """
    smooth = ndimage.gaussian_filter(slices[::factor], (0, _OUTLINE, _OUTLINE))
    between: np.ndarray = np.repeat((smooth[:-1] + smooth[1:]) / 2, factor - 1, axis=0)
    return between


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _acquired_error(result: Volume, thick: Volume, factor: int) -> float:
    """Return the largest difference between acquired slices in result and input, in HU, without clipping."""
    _check_match(thick.grid.refined(factor).matches(result.grid), "thick scan, refined,", thick, result)
    acquired = np.moveaxis(result.voxels, result.slice_array_axis, 0)[::factor]
    given = np.moveaxis(thick.voxels, thick.slice_array_axis, 0)
    return max(float(np.abs(np.subtract(a, b, dtype=np.float64)).max()) for a, b in zip(acquired, given, strict=True))


def slices_first(volume: Volume) -> np.ndarray:
    """Return the voxels as (D, H, W) float32, clipped to [HU_MIN, HU_MAX]."""
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0).astype(np.float32, order="C")
    return np.clip(slices, HU_MIN, HU_MAX, out=slices)


def disagreement_figures(truth: Volume, result: Volume, disagreement: Volume, factor: int) -> dict[str, float]:
    """Measure how well the disagreement of the views predicts errors, over synthesized voxels in the body.

    Args:
        truth, result, factor: as in `score`.
        disagreement: of the views in HU, on the same grid.

    Returns:
        disagreement_rank_correlation and disagreement_worst_share: see `rank_correlation` and `worst_share`.

    Raises:
        SynthesisError: bad-geometry if the volumes do not match.
    """
    _check_match(truth.grid.matches(result.grid), "result", result, truth)
    _check_match(truth.grid.matches(disagreement.grid), "disagreement", disagreement, truth)
    true_slices, result_slices = slices_first(truth), slices_first(result)
    new = synthesized(len(true_slices), factor)
    body = body_mask(true_slices)[new]
    spread = np.moveaxis(disagreement.voxels, disagreement.slice_array_axis, 0)[new][body]
    error = np.abs(result_slices[new] - true_slices[new])[body]
    return {
        "disagreement_rank_correlation": rank_correlation(spread, error),
        "disagreement_worst_share": worst_share(spread, error),
    }


def rank_correlation(disagreement: np.ndarray, error: np.ndarray) -> float:
    """Return Spearman's rank correlation of disagreement and absolute error, of equal shape; ties get their mean rank.

    For more than two million voxels, a sample of two million with a fixed seed is used. NaN if either is constant.
    """
    pair = [np.ravel(disagreement), np.abs(np.ravel(error))]
    if pair[0].size > _RANKED:
        drawn = np.random.default_rng(0).integers(0, pair[0].size, _RANKED)
        pair = [values[drawn] for values in pair]
    first, second = (_ranks(values) for values in pair)
    if not first.size or not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, from 0; ties get their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[place]


def worst_share(disagreement: np.ndarray, error: np.ndarray) -> float:
    """Return the share of the worst 1 % of absolute errors within the 10 % of voxels with the highest disagreement.

    0.1 is chance level, 1 is best. Ties at a threshold count fractionally, so that a constant disagreement gives chance level.
    """
    worst = _top(np.abs(np.ravel(error)), 0.01)
    suspected = _top(np.ravel(disagreement), 0.1)
    return float(worst @ suspected / worst.sum()) if worst.any() else float("nan")


def _top(values: np.ndarray, share: float) -> np.ndarray:
    """Return the membership of each value in the highest `share`: 1 above the threshold, 0 below, fractional for ties."""
    if not values.size:
        return np.zeros(0)
    count = max(1, round(share * values.size))
    limit = np.partition(values, -count)[-count]
    above, tied = values > limit, values == limit
    membership: np.ndarray = above + tied * ((count - np.count_nonzero(above)) / np.count_nonzero(tied))
    return membership


def _check_match(matches: bool, name: str, volume: Volume, other: Volume) -> None:
    if not matches:
        message = f"The {name} must be on the grid of the scan it is compared with"
        difference = (
            f"found size {volume.grid.size}, origin {_short(volume.grid.origin)} against size {other.grid.size}"
        )
        raise SynthesisError(
            "bad-geometry",
            f"{message}; {difference}, origin {_short(other.grid.origin)}: give the result of this scan and factor.",
        )


def _short(position: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{mm:.2f}" for mm in position) + ")"
