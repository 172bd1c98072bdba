"""A truth to measure against: slices of a thin scan are held out, every method restores them, all are scored alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..synthesis import classical
from ..volume.thinning import thin_out
from ..volume.volume import Volume
from .metrics import score, shortfall, synthesized

Restorer = Callable[[Volume], Volume]
"""Thick scan -> thin scan on `grid.refined(factor)`."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """Figures of several methods on the same held-out slices.

    Attributes:
        factor: slices of the thin scan per slice of the thick one.
        profile: "gap" or "slab", how the thick scan was made.
        slice_spacing: of the thick scan, mm.
        thickness: of the thick scan's slices, mm; None if unknown.
        counted: the number of synthesized slices that were scored.
        rows: method -> figures of `metrics.score`, classical methods first.
        remarks: sentences about what was left out.
    """

    factor: int
    profile: str
    slice_spacing: float
    thickness: float | None
    counted: int
    rows: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...] = ()

    def best(self, metric: str) -> str | None:
        """The method that does best in a figure; None if no method has it."""
        return self._best_of(list(self.rows), metric)

    def best_classical(self, metric: str) -> str | None:
        """The classical method to beat in a figure; None if no classical method has it."""
        return self._best_of([method for method in self.rows if method in classical.METHODS], metric)

    def _best_of(self, methods: list[str], metric: str) -> str | None:
        shortfalls = {method: shortfall(metric, self.rows[method].get(metric, float("nan"))) for method in methods}
        known = [method for method in methods if not np.isnan(shortfalls[method])]
        return min(known, key=lambda method: shortfalls[method]) if known else None


def hold_out(truth: Volume, factor: int, profile: str) -> tuple[Volume, Volume]:
    """A thick scan and the truth it was made of.

    Args:
        truth: a thin scan of N slices.
        factor: thin slices per thick one, at least 2.
        profile: "gap" or "slab", see `volume.thinning.thin_out`.

    Returns:
        The thick scan, and the truth cut to its longest run of slices that starts and ends on an acquired one.

    Raises:
        SynthesisError: bad-option for an unknown profile, or a factor that leaves fewer than two thick slices.
    """
    thick = thin_out(truth, factor, profile)
    return thick, _first_slices(truth, (thick.grid.slice_count - 1) * factor + 1)


def compare(
    truth: Volume,
    factor: int,
    profile: str,
    restorers: Mapping[str, Restorer],
    progress: Progress | None = None,
) -> Comparison:
    """Score the classical methods and the given ones on slices held out of a thin scan.

    Args:
        truth, factor, profile: as in `hold_out`.
        restorers: name -> method, in the order of the table; the names of the classical methods are taken.
        progress: told (method, methods done, methods in all).

    Raises:
        SynthesisError: bad-option as in `hold_out`, bad-geometry if a method's result is not on the truth's grid.
    """
    thick, truth = hold_out(truth, factor, profile)
    rivals, remarks = _rivals(thick.grid.slice_count, factor)
    taken = rivals.keys() & restorers.keys()
    if taken:
        raise ValueError(f"the names {sorted(taken)} belong to classical methods")
    contest = {**rivals, **restorers}
    rows = {}
    for done, (method, restore) in enumerate(contest.items()):
        if progress:
            progress(method, done, len(contest))
        rows[method] = score(truth, restore(thick), factor, thick)
    counted = synthesized(truth.grid.slice_count, factor).size
    return Comparison(factor, profile, thick.grid.slice_spacing, thick.grid.thickness, counted, rows, remarks)


def _rivals(slices: int, factor: int) -> tuple[dict[str, Restorer], tuple[str, ...]]:
    """The classical methods that can work on this many thick slices, and a remark on each that cannot."""

    def restorer(method: str) -> Restorer:
        return lambda thick: classical.interpolate_volume(thick, factor, method)

    able = [method for method in classical.METHODS if classical.LEAST_SLICES[method] <= slices]
    remarks = tuple(
        f"{method} is left out: it needs {classical.LEAST_SLICES[method]} thick slices, and there are {slices}."
        for method in classical.METHODS
        if method not in able
    )
    return {method: restorer(method) for method in able}, remarks


def _first_slices(volume: Volume, count: int) -> Volume:
    """The first `count` slices; the origin stays."""
    size = list(volume.grid.size)
    size[volume.grid.slice_axis] = count
    voxels = volume.voxels[tuple(slice(n) for n in reversed(size))]
    return replace(volume, voxels=voxels, grid=replace(volume.grid, size=(size[0], size[1], size[2])))
