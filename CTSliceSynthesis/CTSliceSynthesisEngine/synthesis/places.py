"""Where the slices of a result lie among the acquired ones. Torch-free.

    acquired    0         1         2         3     2.5 mm apart, brought to 1 mm: factor 2.5
    result      0   1   2   3   4   5   6   7       slice n lies at n / 2.5
    position    0  .4  .8  .2  .6   0  .4  .8       in its gap; 0 and 5 coincide with acquired slices, and are these

A whole factor is the case in which all gaps are filled alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..volume.grid import TIE, fitting

_SAME = 9  # decimals in which positions agree that are one: thirds from below and from above


class Places:
    """The slices of a result.

    Args:
        depth: number of acquired slices.
        factor: how many times closer the new slices are, at least 1.

    Attributes:
        count: how many they are: as many as fit between the first and the last acquired slice.
        at: (count,) where each lies, in acquired slices; whole where it is one.
        acquired: (slice of the result, acquired slice) for those that coincide, to a thousandth of the acquired spacing.
    """

    def __init__(self, depth: int, factor: float) -> None:
        self.count = fitting(depth, factor)
        numbers = np.arange(self.count)
        inside = np.fmod(numbers, factor)  # exact, so that step 1 of 3 is at 1 / 3 in every gap
        gaps, positions = np.rint((numbers - inside) / factor).astype(int), inside / factor
        ends = positions > 1 - TIE
        new = ~ends & (positions >= TIE)
        self.acquired = list(zip(numbers[~new].tolist(), (gaps + ends)[~new].tolist(), strict=True))
        self.at = np.where(new, gaps + positions, gaps + ends)
        self._numbers, self._positions = numbers[new], positions[new]
        self._bounds = np.searchsorted(gaps[new], np.arange(depth))

    def new(self, gap: int) -> slice:
        """The new slices of the result that lie in a gap; they stand side by side."""
        numbers = self._numbers[self._bounds[gap] : self._bounds[gap + 1]]
        return slice(int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else slice(0, 0)

    def positions(self, gap: int) -> list[float]:
        """Where they lie in it, from 0 to 1."""
        found: list[float] = self._positions[self._bounds[gap] : self._bounds[gap + 1]].tolist()
        return found

    def alike(self) -> Iterator[tuple[int, int, list[float]]]:
        """First gap, last gap + 1 and positions of every run of gaps that are filled alike; empty gaps are left out."""
        gaps = len(self._bounds) - 1
        keys = [[round(t, _SAME) for t in self.positions(gap)] for gap in range(gaps)]
        first = 0
        for gap in range(1, gaps + 1):
            if gap == gaps or keys[gap] != keys[first]:
                if keys[first]:
                    yield first, gap, self.positions(first)
                first = gap

    def by_position(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Position, gaps (n,) and slices of the result (n,) of all new slices that lie at one place in their gaps."""
        gaps = np.searchsorted(self._bounds, np.arange(len(self._numbers)), side="right") - 1
        _, firsts, group = np.unique(np.round(self._positions, _SAME), return_index=True, return_inverse=True)
        for number, first in enumerate(firsts):
            chosen = np.flatnonzero(group == number)
            yield float(self._positions[first]), gaps[chosen], self._numbers[chosen]
