"""Evaluation of the expected error: expected versus true errors of synthesized voxels in the body."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..synthesis.outputs import DISAGREEMENT, EXPECTED_ERROR
from ..synthesis.pipeline import Result
from ..volume.volume import Volume
from .body_mask import body_mask
from .metrics import rank_correlation, slices_first, synthesized

AROUND = 5
"""Width in pixels of the neighborhoods in which errors are ranked: single-voxel errors are mostly random."""

GROUPS = 10


def stated_error_figures(truth: Volume, thick: Volume, result: Result, factor: int) -> dict[str, object]:
    """Measure how well the expected error predicts the true one.

    Args:
        truth: the thin scan, cropped to end on an acquired slice.
        thick: the acquired slices.
        result: synthesized from them, with disagreement and expected error.
        factor: slices per acquired slice.

    Returns:
        rank_correlation, and rank_correlation_disagreement and rank_correlation_neighbours for the views' disagreement
        and the difference of the two acquired slices alone: Spearman, with the mean absolute error over 5 x 5 pixels;
        stated_hu, true_hu: expected and true mean absolute error in HU, per decile of the expected error;
        tenths_off: number of deciles that are off by more than a fifth of the expected error and more than 2 HU.
    """
    maps = (result.outputs[name] for name in (DISAGREEMENT, EXPECTED_ERROR))
    true_slices, result_slices, spread, stated = map(slices_first, (truth, result.volume, *maps))
    new = synthesized(len(true_slices), factor)
    body = body_mask(true_slices)[new]
    error = np.abs(result_slices - true_slices)[new]
    acquired = slices_first(thick)
    steps = np.abs(np.diff(acquired, axis=0))[new // factor]
    ranked = _neighborhood_mean(error)[body]
    expected, actual = _decile_means(stated[new][body], error[body])
    off = [abs(a - b) > max(2.0, 0.2 * a) for a, b in zip(expected, actual, strict=True)]
    return {
        "rank_correlation": round(rank_correlation(stated[new][body], ranked), 4),
        "rank_correlation_disagreement": round(rank_correlation(_neighborhood_mean(spread[new])[body], ranked), 4),
        "rank_correlation_neighbours": round(rank_correlation(_neighborhood_mean(steps)[body], ranked), 4),
        "stated_hu": [round(value, 1) for value in expected],
        "true_hu": [round(value, 1) for value in actual],
        "tenths_off": sum(off),
    }


def _neighborhood_mean(slices: np.ndarray) -> np.ndarray:
    """Return means over squares of AROUND pixels in each slice."""
    mean: np.ndarray = ndimage.uniform_filter(slices, (0, AROUND, AROUND), mode="nearest")
    return mean


def _decile_means(stated: np.ndarray, true: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the means of both in groups of equal size, ordered by expected error."""
    order = np.argsort(stated, kind="stable")
    pairs = [(float(stated[part].mean()), float(true[part].mean())) for part in np.array_split(order, GROUPS)]
    expected, actual = zip(*pairs, strict=True)
    return list(expected), list(actual)
