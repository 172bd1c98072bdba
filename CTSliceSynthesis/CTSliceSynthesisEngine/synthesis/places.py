"""Positions of the result's slices relative to the acquired ones. Does not import PyTorch.

    acquired    0         1         2         3     2.5 mm apart, resampled to 1 mm: factor 2.5
    result      0   1   2   3   4   5   6   7       slice n lies at n / 2.5
    position    0  .4  .8  .2  .6   0  .4  .8       in its gap; 0 and 5 coincide with acquired slices and are copied

With an integer factor, all gaps are filled at the same positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..volume.grid import TIE, fitting_count

_SAME = 9  # decimals to which equal positions agree: thirds computed from either end differ by rounding


class Places:
    """Positions of the slices of a result.

    Args:
        depth: number of acquired slices.
        factor: acquired over new slice spacing, at least 1.

    Attributes:
        count: number of result slices: as many as fit between the first and the last acquired slice.
        at: (count,) position of each, in acquired slices; an integer where it coincides with one.
        acquired: (result slice, acquired slice) for those that coincide to within a thousandth of the acquired spacing.
    """

    def __init__(self, depth: int, factor: float) -> None:
        self.count = fitting_count(depth, factor)
        numbers = np.arange(self.count)
        inside = np.fmod(numbers, factor)  # exact, so that 1 / 3 is the same number in every gap
        gaps, positions = np.rint((numbers - inside) / factor).astype(int), inside / factor
        ends = positions > 1 - TIE
        new = ~ends & (positions >= TIE)
        self.acquired = list(zip(numbers[~new].tolist(), (gaps + ends)[~new].tolist(), strict=True))
        self.at = np.where(new, gaps + positions, gaps + ends)
        self._numbers, self._positions = numbers[new], positions[new]
        self._bounds = np.searchsorted(gaps[new], np.arange(depth))

    def new(self, gap: int) -> slice:
        """Return the range of new result slices inside a gap."""
        numbers = self._numbers[self._bounds[gap] : self._bounds[gap + 1]]
        return slice(int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else slice(0, 0)

    def positions(self, gap: int) -> list[float]:
        """Return the positions of the new slices inside a gap, from 0 to 1."""
        positions: list[float] = self._positions[self._bounds[gap] : self._bounds[gap + 1]].tolist()
        return positions

    def alike(self) -> Iterator[tuple[int, int, list[float]]]:
        """Yield the first gap, last gap + 1 and positions of each run of gaps filled at the same positions; skip empty ones."""
        gaps = len(self._bounds) - 1
        keys = [[round(t, _SAME) for t in self.positions(gap)] for gap in range(gaps)]
        first = 0
        for gap in range(1, gaps + 1):
            if gap == gaps or keys[gap] != keys[first]:
                if keys[first]:
                    yield first, gap, self.positions(first)
                first = gap

    def by_position(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Yield position, gaps (n,) and result slices (n,) of all new slices that share a position in their gaps."""
        gaps = np.searchsorted(self._bounds, np.arange(len(self._numbers)), side="right") - 1
        _, firsts, group = np.unique(np.round(self._positions, _SAME), return_index=True, return_inverse=True)
        for number, first in enumerate(firsts):
            chosen = np.flatnonzero(group == number)
            yield float(self._positions[first]), gaps[chosen], self._numbers[chosen]
