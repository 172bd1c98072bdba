"""Network input: slices in unit range, with one extrapolated slice at each end."""

from __future__ import annotations

import numpy as np

from ..volume.intensity import HU_MAX, HU_MIN, to_unit

GUARD_PIXELS = 3  # distance from padding or metal within which predictions are clipped to the range of their neighbors


class UnitStack:
    """A stack of slices in unit range, converted one window at a time so that memory does not grow with depth.

    Args:
        slices: (D, H, W) of any type, the slice axis first; at least two slices.
    """

    def __init__(self, slices: np.ndarray) -> None:
        self._slices = slices
        self.depth, self.height, self.width = slices.shape

    @property
    def gaps(self) -> int:
        """Number of gaps between slices."""
        return self.depth - 1

    def around(self, first: int, last: int) -> np.ndarray:
        """Return the input slices for gaps first ... last - 1, (last - first + 3, H, W) float32 unit range.

        slices         -1   0   1   2   3   4     -1 is extrapolated: 2 x slice 0 - slice 1
        gap 0           o   o   o   o
        gap 1               o   o   o   o
        """
        low, high = max(first - 1, 0), min(last + 2, self.depth)
        units = to_unit(self._slices[low:high])
        parts = [units]
        if first == 0:
            parts.insert(0, 2 * units[:1] - units[1:2])
        if last == self.gaps:
            parts.append(2 * units[-1:] - units[-2:-1])
        return np.concatenate(parts) if len(parts) > 1 else units


def suppress_ringing(new_slices: np.ndarray, slices: np.ndarray, first: int, positions: list[float]) -> np.ndarray:
    """Suppress ringing around padding and metal.

    Voxels outside the HU range are "no data" (scanner padding) or metal; interpolating through them overshoots. If one of
    the two acquired voxels next to a new one is outside, the new one is interpolated linearly; if only its surroundings
    are, it is clipped to the range of the two.

    Args:
        new_slices: (G, P, H, W) HU, changed in place.
        slices: (D, H, W) all acquired slices, as stored.
        first: the gap that new_slices[0] fills.
        positions: of the new slices in each gap.

    Returns:
        new_slices.
    """
    low, high = max(first - 1, 0), min(first + len(new_slices) + 2, len(slices))
    window = slices[low:high]
    if window.min() >= HU_MIN and window.max() <= HU_MAX:
        return new_slices
    outside = (window < HU_MIN) | (window > HU_MAX)
    for gap, images in enumerate(new_slices):
        at = first + gap - low
        if not outside[max(at - 1, 0) : at + 3].any():
            continue
        below, above = (window[at + n].astype(np.float32) for n in (0, 1))
        near = _dilate(np.any(outside[max(at - 1, 0) : at + 3], axis=0))
        touched = outside[at] | outside[at + 1]
        for position, image in zip(positions, images, strict=True):
            between = np.clip(image, np.minimum(below, above), np.maximum(below, above))
            line = below + np.float32(position) * (above - below)
            image[...] = np.where(touched, line, np.where(near, between, image))
    return new_slices


def _dilate(mask: np.ndarray) -> np.ndarray:
    """Dilate the mask by GUARD_PIXELS."""
    from scipy import ndimage  # only scans with padding or metal need it

    return ndimage.maximum_filter(mask, 2 * GUARD_PIXELS + 1)
