"""Hold-out evaluation: slices of a thin scan are held out, restored by every method, and scored."""

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
    """Metrics of several methods on the same held-out slices.

    Attributes:
        factor: slices of the thin scan per slice of the thick one.
        profile: "gap" or "slab", slice profile of the simulated thick scan.
        slice_spacing: of the thick scan, mm.
        thickness: of the thick scan's slices, mm; None if unknown.
        counted: number of synthesized slices that were scored.
        rows: method -> metrics from `metrics.score`, classical methods first.
        remarks: messages about omitted methods.
    """

    factor: int
    profile: str
    slice_spacing: float
    thickness: float | None
    counted: int
    rows: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...] = ()

    def best(self, metric: str) -> str | None:
        """Return the best method for a metric, or None if no method has it."""
        return self._best_of(list(self.rows), metric)

    def best_classical(self, metric: str) -> str | None:
        """Return the best classical method for a metric, or None if no classical method has it."""
        return self._best_of([method for method in self.rows if method in classical.METHODS], metric)

    def _best_of(self, methods: list[str], metric: str) -> str | None:
        shortfalls = {method: shortfall(metric, self.rows[method].get(metric, float("nan"))) for method in methods}
        known = [method for method in methods if not np.isnan(shortfalls[method])]
        return min(known, key=lambda method: shortfalls[method]) if known else None


def hold_out(truth: Volume, factor: int, profile: str) -> tuple[Volume, Volume]:
    """Simulate a thick scan and return it with its ground truth.

    Args:
        truth: a thin scan of N slices.
        factor: thin slices per thick one, at least 2.
        profile: "gap" or "slab", see `volume.thinning.thin_out`.

    Returns:
        The thick scan, and the ground truth cropped to its longest run of slices that starts and ends on an acquired one.

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
        restorers: name -> method, in table order; names of classical methods are reserved.
        progress: called with (method, methods done, total methods).

    Raises:
        SynthesisError: bad-option as in `hold_out`, bad-geometry if a method's result is not on the truth's grid.
    """
    thick, truth = hold_out(truth, factor, profile)
    baselines, remarks = _classical_restorers(thick.grid.slice_count, factor)
    reserved = baselines.keys() & restorers.keys()
    if reserved:
        raise ValueError(f"the names {sorted(reserved)} belong to classical methods")
    methods = {**baselines, **restorers}
    rows = {}
    for done, (method, restore) in enumerate(methods.items()):
        if progress:
            progress(method, done, len(methods))
        rows[method] = score(truth, restore(thick), factor, thick)
    counted = synthesized(truth.grid.slice_count, factor).size
    return Comparison(factor, profile, thick.grid.slice_spacing, thick.grid.thickness, counted, rows, remarks)


def _classical_restorers(slices: int, factor: int) -> tuple[dict[str, Restorer], tuple[str, ...]]:
    """Return the classical methods that work with this number of thick slices, and a remark on each that does not."""

    def restorer(method: str) -> Restorer:
        return lambda thick: classical.interpolate_volume(thick, factor, method)

    applicable = [method for method in classical.METHODS if classical.LEAST_SLICES[method] <= slices]
    remarks = tuple(
        f"{method} is omitted: it needs {classical.LEAST_SLICES[method]} thick slices, and there are {slices}."
        for method in classical.METHODS
        if method not in applicable
    )
    return {method: restorer(method) for method in applicable}, remarks


def _first_slices(volume: Volume, count: int) -> Volume:
    """Return the first `count` slices, with the same origin."""
    size = list(volume.grid.size)
    size[volume.grid.slice_axis] = count
    voxels = volume.voxels[tuple(slice(n) for n in reversed(size))]
    return replace(volume, voxels=voxels, grid=replace(volume.grid, size=(size[0], size[1], size[2])))
