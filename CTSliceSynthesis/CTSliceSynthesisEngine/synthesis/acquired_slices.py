"""Replace acquired slices by thin estimates as well.

A contiguous 8 mm slice between synthesized slices of 1 mm shows as a line in every reformat. The networks can also
predict position 0 of a gap and position 1 of the gap before it: an acquired slice is replaced by the mean of the two.

    acquired    0           1           2
    estimates   0 . . . 1   0 . . . 1             positions in each gap
                        +---+  mean

The result stays consistent with the acquisition: its averages over the acquired slice profile are brought back to the
acquired slices by distributing the differences over the surrounding slices.
"""

from __future__ import annotations

import numpy as np

from ..volume.intensity import HU_MAX, HU_MIN, as_voxels
from ..volume.thinning import profile_weights

_ROUNDS = 3
_BAND_VOXELS = 1 << 22  # voxels of the result held in memory as floats at a time


class AcquiredPlaces:
    """Collects the estimates at the acquired positions, gap by gap.

    Args:
        fine: (N, H, W), the result; its acquired slices are filled in.
        factor: upsampling factor of the run.
    """

    def __init__(self, fine: np.ndarray, factor: int) -> None:
        self._fine, self._factor = fine, factor
        self._before: np.ndarray | None = None

    def put(self, first: int, gaps: int, starts: np.ndarray, ends: np.ndarray) -> None:
        """Add the estimates of G consecutive gaps starting at `first`, out of `gaps` in total; call in order.

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


def match_acquired(fine: np.ndarray, slices: np.ndarray, factor: int, width: float) -> None:
    """Adjust the result so that its averages over the slice profile match the acquired slices.

    Args:
        fine: ((D - 1) * factor + 1, H, W), changed in place.
        slices: (D, H, W) the acquired slices.
        factor: upsampling factor of the run.
        width: thickness of an acquired slice, in new slice spacings.
    """
    rows = max(1, _BAND_VOXELS // (fine.shape[0] * fine.shape[2]))
    for first in range(0, fine.shape[1], rows):
        band = (slice(None), slice(first, first + rows))
        fine[band] = as_voxels(_match_band(fine[band].astype(np.float32), slices[band], factor, width), fine.dtype)


def _match_band(fine: np.ndarray, slices: np.ndarray, factor: int, width: float) -> np.ndarray:
    """`match_acquired` for a float32 array in memory. Values outside the HU range (padding, metal) are not matched."""
    known = (slices >= HU_MIN) & (slices <= HU_MAX)
    for _ in range(_ROUNDS):
        difference = np.where(known, slices - profile_averages(fine, factor, width), 0).astype(np.float32)
        for step in range(factor):
            weight = np.float32(step / factor)
            fine[step::factor][: len(difference) - (step > 0)] += difference[: len(difference) - (step > 0)] * (
                1 - weight
            )
            if step:
                fine[step::factor] += difference[1:] * weight
    return fine


def profile_averages(fine: np.ndarray, factor: int, width: float) -> np.ndarray:
    """Average the result over slices `width` new spacings thick at the acquired positions, replicating the end slices.

    Returns:
        (D, H, W) float32.
    """
    weights = profile_weights(max(1.0, width)).astype(np.float32)
    centers = np.arange(0, len(fine), factor)
    mean = np.zeros((len(centers), *fine.shape[1:]), np.float32)
    for offset, weight in enumerate(weights, start=-(len(weights) // 2)):
        mean += weight * fine[np.clip(centers + offset, 0, len(fine) - 1)]
    return mean
