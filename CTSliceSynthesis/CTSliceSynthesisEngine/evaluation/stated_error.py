"""Is the stated error true? Stated and true errors of synthesized voxels in the body, side by side."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..synthesis.outputs import DISAGREEMENT, EXPECTED_ERROR
from ..synthesis.pipeline import Result
from ..volume.volume import Volume
from .body_mask import body_mask
from .metrics import rank_correlation, slices_first, synthesized

AROUND = 5
"""Pixels across of the neighbourhoods in which errors are ranked: the error of a single voxel is mostly chance."""

GROUPS = 10


def stated_error_figures(truth: Volume, thick: Volume, result: Result, factor: int) -> dict[str, object]:
    """How well the expected error tells the true one.

    Args:
        truth: the thin scan, cut to end on an acquired slice.
        thick: the acquired slices.
        result: made of them, with its disagreement and its expected error.
        factor: slices per acquired slice.

    Returns:
        rank_correlation, and rank_correlation_disagreement and rank_correlation_neighbours for the views' disagreement
        and the difference of the two acquired slices alone: Spearman, with the mean absolute error over 5 x 5 pixels;
        stated_hu, true_hu: mean absolute error in HU as stated and as it is, in tenths of the voxels by what is stated;
        tenths_off: how many tenths are off by more than a fifth of what is stated and more than 2 HU.
    """
    beside = (result.outputs[name] for name in (DISAGREEMENT, EXPECTED_ERROR))
    true, found, spread, stated = map(slices_first, (truth, result.volume, *beside))
    new = synthesized(len(true), factor)
    body = body_mask(true)[new]
    error = np.abs(found - true)[new]
    acquired = slices_first(thick)
    steps = np.abs(np.diff(acquired, axis=0))[new // factor]
    ranked = _around(error)[body]
    said, was = _tenths(stated[new][body], error[body])
    off = [abs(a - b) > max(2.0, 0.2 * a) for a, b in zip(said, was, strict=True)]
    return {
        "rank_correlation": round(rank_correlation(stated[new][body], ranked), 4),
        "rank_correlation_disagreement": round(rank_correlation(_around(spread[new])[body], ranked), 4),
        "rank_correlation_neighbours": round(rank_correlation(_around(steps)[body], ranked), 4),
        "stated_hu": [round(value, 1) for value in said],
        "true_hu": [round(value, 1) for value in was],
        "tenths_off": sum(off),
    }


def _around(slices: np.ndarray) -> np.ndarray:
    """Mean over squares of AROUND pixels in each slice."""
    mean: np.ndarray = ndimage.uniform_filter(slices, (0, AROUND, AROUND), mode="nearest")
    return mean


def _tenths(stated: np.ndarray, true: np.ndarray) -> tuple[list[float], list[float]]:
    """Means of both in groups of equal size, in the order of what is stated."""
    order = np.argsort(stated, kind="stable")
    pairs = [(float(stated[part].mean()), float(true[part].mean())) for part in np.array_split(order, GROUPS)]
    said, was = zip(*pairs, strict=True)
    return list(said), list(was)
