"""Thin everywhere: thin slices in the places of the acquired ones too.

A touching 8 mm slice between new ones of 1 mm shows as a line in every reformat. Position 0 of a gap is one more position of
the networks, and so is position 1 of the gap before it: an acquired slice is replaced by the mean of the two.

    acquired    0           1           2
    estimates   0 . . . 1   0 . . . 1             positions in each gap
                        +---+  mean

What was acquired is still what counts: the averages of the result over the slices' own profile are brought back to the
acquired slices, by what they differ by, spread over the slices around.
"""

from __future__ import annotations

import numpy as np

from ..volume.intensity import HU_MAX, HU_MIN, as_voxels
from ..volume.thinning import profile_weights

_ROUNDS = 3
_BAND_VOXELS = 1 << 22  # of the result, that are in memory as floats at a time


class AcquiredPlaces:
    """Gathers the estimates at the acquired positions, gap after gap.

    Args:
        fine: (N, H, W), the result; its acquired places are filled.
        factor: of the run.
    """

    def __init__(self, fine: np.ndarray, factor: int) -> None:
        self._fine, self._factor = fine, factor
        self._before: np.ndarray | None = None

    def put(self, first: int, gaps: int, starts: np.ndarray, ends: np.ndarray) -> None:
        """Take the estimates of G gaps from `first` on, out of `gaps`, in their order.

        Args:
            starts, ends: (G, H, W) HU, at positions 0 and 1 of each gap.
        """
        for gap, (start, end) in enumerate(zip(starts, ends, strict=True), start=first):
            mean = start if self._before is None else (start + self._before) / 2
            self._fine[gap * self._factor] = as_voxels(mean, self._fine.dtype)
            self._before = end.copy()
        if first + len(starts) == gaps:
            assert self._before is not None
            self._fine[gaps * self._factor] = as_voxels(self._before, self._fine.dtype)


def agree(fine: np.ndarray, slices: np.ndarray, factor: int, width: float) -> None:
    """Bring the averages of the result back to the acquired slices.

    Args:
        fine: ((D - 1) * factor + 1, H, W), changed in place.
        slices: (D, H, W) the acquired slices.
        factor: of the run.
        width: of an acquired slice, in new slice spacings.
    """
    rows = max(1, _BAND_VOXELS // (fine.shape[0] * fine.shape[2]))
    for first in range(0, fine.shape[1], rows):
        band = (slice(None), slice(first, first + rows))
        fine[band] = as_voxels(_agreeing(fine[band].astype(np.float32), slices[band], factor, width), fine.dtype)


def _agreeing(fine: np.ndarray, slices: np.ndarray, factor: int, width: float) -> np.ndarray:
    """`agree` in memory, float32. Outside the HU range, as in padding and metal, nothing is known to agree with."""
    known = (slices >= HU_MIN) & (slices <= HU_MAX)
    for _ in range(_ROUNDS):
        off = np.where(known, slices - averages(fine, factor, width), 0).astype(np.float32)
        for step in range(factor):
            share = np.float32(step / factor)
            fine[step::factor][: len(off) - (step > 0)] += off[: len(off) - (step > 0)] * (1 - share)
            if step:
                fine[step::factor] += off[1:] * share
    return fine


def averages(fine: np.ndarray, factor: int, width: float) -> np.ndarray:
    """What slices `width` new spacings thick would show in the acquired places; the outermost slices stand for what is beyond.

    Returns:
        (D, H, W) float32.
    """
    weights = profile_weights(max(1.0, width)).astype(np.float32)
    centres = np.arange(0, len(fine), factor)
    mean = np.zeros((len(centres), *fine.shape[1:]), np.float32)
    for offset, weight in enumerate(weights, start=-(len(weights) // 2)):
        mean += weight * fine[np.clip(centres + offset, 0, len(fine) - 1)]
    return mean
