"""How far a result is from the truth, in the figures of the field.

Only synthesized slices count, as acquired ones are copies and would flatter any method (by 3 dB PSNR at factor 2);
coronal and sagittal SSIM see both, as does whoever looks at them. Arrays have the slice axis first, and HU are held
within [HU_MIN, HU_MAX].
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
"""Tissue -> HU, lower bound in, upper bound out."""

FEWEST_VOXELS = 1000
"""A bias over fewer voxels than this is chance, and is left out."""

_SIGMA = 1.5  # SSIM's Gaussian window in pixels, and where it ends: Wang et al. 2004, 11 x 11
_RADIUS = 5
_PLANES = 48  # about as many planes per direction enter SSIM
_OUTLINE = 2.0  # pixels: of single voxels, the noise of the acquired slices would be outlined
_RANKED = 2_000_000  # voxels that are ranked at most


def score(truth: Volume, result: Volume, factor: int, thick: Volume | None = None) -> dict[str, float]:
    """All figures of a result.

    Args:
        truth: the thin scan, cut to end on an acquired slice.
        result: what was made of every `factor`-th slice, on the same grid.
        factor: slices per acquired slice.
        thick: the acquired slices as they were given, to see that they came back untouched.

    Returns:
        psnr_db, psnr_body_db: peak 4095 HU; `body` leaves out the air around the patient.
        ssim, and its parts ssim_axial (across the slice axis), ssim_coronal, ssim_sagittal (the two reformats).
        mae_hu, mae_body_hu: mean absolute error.
        mean_error_body_hu: mean error, with its sign: how much too bright.
        texture: see `texture`.
        bias_<tissue>_hu: mean error in the body, for the tissues that are there: voxels whose truth lies in the range.
        region_bias_<tissue>_hu: the same of regions that are outlined on the acquired slices, see `outlined`.
        acquired_max_error_hu: with `thick` only; 0 is the only good value.
        NaN where a figure has no meaning, for example SSIM of planes smaller than its window.

    Raises:
        SynthesisError: bad-geometry if the volumes do not match.
    """
    _check_match(truth.grid.matches(result.grid), "result", result, truth)
    true, found = slices_first(truth), slices_first(result)
    new = synthesized(len(true), factor)
    error = found[new] - true[new]
    body = body_mask(true)[new]
    figures = _errors(error, body) | _ssim_figures(true, found, new)
    figures["texture"] = texture(found, factor)
    figures |= _bias("bias", true[new], error, body) | _bias("region_bias", outlined(true, factor), error, body)
    if thick is not None:
        figures["acquired_max_error_hu"] = _acquired_error(result, thick, factor)
    return figures


def shortfall(metric: str, value: float) -> float:
    """How far a figure of `score` is from perfect: of two methods, the smaller is the better one. NaN stays NaN."""
    if metric.startswith(("psnr", "ssim")):
        return -value
    return abs(value - 1) if metric == "texture" else abs(value)


def synthesized(count: int, factor: int) -> np.ndarray:
    """Indices of the synthesized ones among `count` slices."""
    return np.flatnonzero(np.arange(count) % factor)


def psnr(error: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of an error in HU, for a peak of 4095 HU; infinite without error."""
    power = float(np.mean(np.square(error))) if error.size else float("nan")
    return float(10 * np.log10(PEAK_HU**2 / power)) if power else float("inf")


def ssim(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Structural similarity of planes: (n, H, W) x 2 -> (n,), Gaussian window, range 4095 HU (Wang et al. 2004).

    The outer five pixels are left out, where the window would hang over the edge; NaN if nothing is left.
    """
    if min(truth.shape[1:]) < 2 * _RADIUS + 1:
        return np.full(len(truth), np.nan)
    return np.array([_ssim(a, b) for a, b in zip(truth, result, strict=True)])


def _ssim(truth: np.ndarray, result: np.ndarray) -> float:
    c1, c2 = (0.01 * PEAK_HU) ** 2, (0.03 * PEAK_HU) ** 2
    mean_t, mean_r = _local_mean(truth), _local_mean(result)
    square_t, square_r, product = mean_t * mean_t, mean_r * mean_r, mean_t * mean_r
    spread = _local_mean(truth * truth) + _local_mean(result * result) - square_t - square_r
    shared = _local_mean(truth * result) - product
    similarity = (2 * product + c1) * (2 * shared + c2) / ((square_t + square_r + c1) * (spread + c2))
    return float(similarity.mean(dtype=np.float64))


def _local_mean(plane: np.ndarray) -> np.ndarray:
    """Gaussian-weighted mean around each pixel, (H, W) -> (H-10, W-10)."""
    inner = slice(_RADIUS, -_RADIUS)
    mean: np.ndarray = ndimage.gaussian_filter(plane, _SIGMA, radius=_RADIUS)
    return mean[inner, inner]


def _ssim_figures(truth: np.ndarray, result: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """SSIM per direction over about 48 planes, and the mean of those directions that can be had."""
    means = {}
    for axis, name in enumerate(("axial", "coronal", "sagittal")):
        planes = new[:: max(1, len(new) // _PLANES)] if axis == 0 else _reformats(truth.shape[axis])
        values = ssim(*(np.moveaxis(stack, axis, 0)[planes] for stack in (truth, result)))
        means[f"ssim_{name}"] = float(values.mean()) if values.size else float("nan")
    known = [value for value in means.values() if not np.isnan(value)]
    return {"ssim": float(np.mean(known)) if known else float("nan")} | means


def _reformats(size: int) -> np.ndarray:
    """Indices of reformat planes, the outer eight left out."""
    return np.arange(8, size - 8, max(1, size // _PLANES))


def texture(slices: np.ndarray, factor: int) -> float:
    """High-pass noise of even soft tissue in synthesized over acquired slices; 1 means no stripes in reformats."""
    smooth = ndimage.gaussian_filter(slices, (0, 2, 2))
    edges = ndimage.generic_gradient_magnitude(smooth, ndimage.sobel)
    even = (smooth > 0) & (smooth < 120) & (edges < 60)
    noise = slices - smooth
    new = synthesized(len(slices), factor)
    kept = slice(None, None, factor)
    spread_new, spread_kept = (noise[which][even[which]] for which in (new, kept))
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


def _bias(name: str, chosen_by: np.ndarray, error: np.ndarray, body: np.ndarray) -> dict[str, float]:
    """Mean error in each tissue.

    Chosen by the truth, a tissue holds the voxels that noise has carried into its range, and not those that it has carried
    out; no estimate follows noise, so the best one shows a bias at the ends of a range. A region that is outlined without
    looking at that noise, as a radiologist outlines one to read its mean, shows none.
    """
    found = {}
    for tissue, (low, high) in TISSUES.items():
        inside = error[(chosen_by >= low) & (chosen_by < high) & body]
        if inside.size > FEWEST_VOXELS:
            found[f"{name}_{tissue}_hu"] = _mean(inside)
    return found


def outlined(slices: np.ndarray, factor: int) -> np.ndarray:
    """What the acquired slices say lies at each synthesized voxel: the smoothed mean of the slices below and above.

    Args:
        slices: (D, H, W) the thin scan, HU; every `factor`-th one was acquired.

    Returns:
        (D - acquired, H, W) HU, Gaussian sigma _OUTLINE pixels: the noise of the slices between has no part in it.
    """
    smooth = ndimage.gaussian_filter(slices[::factor], (0, _OUTLINE, _OUTLINE))
    between: np.ndarray = np.repeat((smooth[:-1] + smooth[1:]) / 2, factor - 1, axis=0)
    return between


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _acquired_error(result: Volume, thick: Volume, factor: int) -> float:
    """Largest difference of the acquired slices from what was given, in HU, not held within any range."""
    _check_match(thick.grid.refined(factor).matches(result.grid), "thick scan, refined,", thick, result)
    kept = np.moveaxis(result.voxels, result.slice_array_axis, 0)[::factor]
    given = np.moveaxis(thick.voxels, thick.slice_array_axis, 0)
    return max(float(np.abs(np.subtract(a, b, dtype=np.float64)).max()) for a, b in zip(kept, given, strict=True))


def slices_first(volume: Volume) -> np.ndarray:
    """(D, H, W) float32 within [HU_MIN, HU_MAX]."""
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0).astype(np.float32, order="C")
    return np.clip(slices, HU_MIN, HU_MAX, out=slices)


def disagreement_figures(truth: Volume, result: Volume, disagreement: Volume, factor: int) -> dict[str, float]:
    """Does the disagreement of the views tell where the result is wrong? Over synthesized voxels in the body.

    Args:
        truth, result, factor: as in `score`.
        disagreement: the spread of the views in HU, on the same grid.

    Returns:
        disagreement_rank_correlation and disagreement_worst_share: see `rank_correlation` and `worst_share`.

    Raises:
        SynthesisError: bad-geometry if the volumes do not match.
    """
    _check_match(truth.grid.matches(result.grid), "result", result, truth)
    _check_match(truth.grid.matches(disagreement.grid), "disagreement", disagreement, truth)
    true, found = slices_first(truth), slices_first(result)
    new = synthesized(len(true), factor)
    body = body_mask(true)[new]
    spread = np.moveaxis(disagreement.voxels, disagreement.slice_array_axis, 0)[new][body]
    error = np.abs(found[new] - true[new])[body]
    return {
        "disagreement_rank_correlation": rank_correlation(spread, error),
        "disagreement_worst_share": worst_share(spread, error),
    }


def rank_correlation(disagreement: np.ndarray, error: np.ndarray) -> float:
    """Spearman's rank correlation of disagreement and absolute error, of any one shape; ties share their mean rank.

    Above two million voxels, two million drawn by a fixed seed stand for all. NaN if either does not vary.
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
    """Rank of each value from 0 on; ties get the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[place]


def worst_share(disagreement: np.ndarray, error: np.ndarray) -> float:
    """Share of the worst 1 % of absolute errors that lie in the 10 % of voxels with the highest disagreement.

    0.1 is chance, 1 is best. Voxels that tie at a limit count in part, so that a constant disagreement is chance.
    """
    worst = _top(np.abs(np.ravel(error)), 0.01)
    suspected = _top(np.ravel(disagreement), 0.1)
    return float(worst @ suspected / worst.sum()) if worst.any() else float("nan")


def _top(values: np.ndarray, share: float) -> np.ndarray:
    """How far each value belongs to the highest `share`: 1 above the limit, 0 below, a part for those on it."""
    if not values.size:
        return np.zeros(0)
    wanted = max(1, round(share * values.size))
    limit = np.partition(values, -wanted)[-wanted]
    above, on = values > limit, values == limit
    part: np.ndarray = above + on * ((wanted - np.count_nonzero(above)) / np.count_nonzero(on))
    return part


def _check_match(matches: bool, name: str, volume: Volume, other: Volume) -> None:
    if not matches:
        message = f"The {name} must lie on the grid of the scan it is compared with"
        found = f"found size {volume.grid.size}, origin {_short(volume.grid.origin)} against size {other.grid.size}"
        raise SynthesisError(
            "bad-geometry",
            f"{message}; {found}, origin {_short(other.grid.origin)}: give the result of this very scan and factor.",
        )


def _short(position: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{mm:.2f}" for mm in position) + ")"
