"""The rivals: linear, 4-point cubic and cubic B-spline interpolation between acquired slices.

They need no network, answer when PyTorch is absent, and are the line every network has to beat.
Acquired slices are always copied, never recomputed:

    acquired       0        1        2           D slices
    result         0  .  .  3  .  .  6           (D-1)*factor+1 slices, here factor 3
                      1  2     4  5              phase p lies p/factor of the way to the next acquired slice

Factors that are not whole fill every gap differently, see `places`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import SynthesisError
from ..volume.grid import whole_factor
from ..volume.intensity import as_voxels
from ..volume.volume import Volume
from .places import Places
from .views import slices_first

METHODS = ("linear", "cubic", "bspline")
LEAST_SLICES = {"linear": 2, "cubic": 2, "bspline": 4}
"""Fewest acquired slices each method can work with."""

_BAND_VOXELS = 1 << 20
"""Acquired voxels per band of rows, so that scratch memory stays near 50 MB for any depth."""

Progress = Callable[[str, int, int], None]


def interpolate(slices: np.ndarray, factor: int, method: str) -> np.ndarray:
    """Thin slices from thick ones, in memory.

    Args:
        slices: (D, H, W) float32, acquired slices, the slice axis first, any unit.
        factor: result slices per acquired slice spacing, at least 1.
        method: one of METHODS.

    Returns:
        ((D-1)*factor+1, H, W) float32 in the same unit; overshoot is kept.

    Raises:
        SynthesisError: bad-option for an unknown method, a factor below 1 or too few slices.
    """
    _check(slices, factor, method)
    depth, *plane = slices.shape
    out = np.empty(((depth - 1) * factor + 1, *plane), np.float32)
    interpolate_into(slices, factor, method, out)
    return out


def interpolate_into(
    slices: np.ndarray, factor: float, method: str, out: np.ndarray, progress: Progress | None = None
) -> None:
    """Thin slices from thick ones, written band of rows by band of rows, so that memory does not grow with depth.

    Args:
        slices: (D, H, W), the slice axis first, any real type; views and memory maps are welcome.
        factor: result slices per acquired slice spacing, at least 1, whole or not.
        method: one of METHODS.
        out: (N, H, W), N as in `places.Places`, filled in place; integers are rounded and held within their type's range.
        progress: told (method, rows done, rows in all) after each band.

    Raises:
        SynthesisError: bad-option for an unknown method, a factor below 1 or too few slices.
    """
    _check(slices, factor, method)
    depth, height, width = slices.shape
    places = Places(depth, factor)
    if out.shape != (places.count, height, width):
        raise ValueError(f"out must have shape {(places.count, height, width)}, found {out.shape}")
    step = max(1, _BAND_VOXELS // (depth * width))
    for first in range(0, height, step):
        rows = slice(first, min(first + step, height))
        for number, source in places.acquired:
            out[number, rows] = as_voxels(slices[source, rows], out.dtype)
        curve = _curve(np.asarray(slices[:, rows], np.float64), method)
        for position, gaps, numbers in places.by_position():
            out[numbers, rows] = as_voxels(curve(position, gaps).astype(np.float32), out.dtype)
        if progress:
            progress(method, rows.stop, height)


def interpolate_volume(volume: Volume, factor: int, method: str, progress: Progress | None = None) -> Volume:
    """The same for a volume along its slice axis, on `volume.grid.refined(factor)`; the voxel type is kept."""
    grid = volume.grid.refined(factor)
    voxels = np.empty(grid.size[::-1], volume.voxels.dtype)
    slices, fine = slices_first(volume.voxels, grid), slices_first(voxels, grid)
    interpolate_into(slices, factor, method, fine, progress)
    return replace(volume, voxels=voxels, grid=grid)


def weights(factor: int, method: str) -> np.ndarray:
    """Weights of the four nearest acquired slices for every phase of a local method.

    Slices are counted k-1, k, k+1, k+2 for a phase between k and k+1. Past the ends stand `extended` slices.

    Args:
        factor: result slices per acquired slice spacing, at least 1.
        method: "linear" or "cubic" (the Lagrange polynomial through the four).

    Returns:
        (factor-1, 4) float32; each row adds up to one.

    Raises:
        SynthesisError: bad-option for any other method: a B-spline has no local weights.
    """
    return _table(factor, method).astype(np.float32)


def _table(factor: int, method: str) -> np.ndarray:
    """`weights` in float64: thirds and sixths that are not exact would round half a HU the wrong way."""
    return _weights_at(np.arange(1, factor, dtype=np.float64) / factor, method)


def _weights_at(t: np.ndarray, method: str) -> np.ndarray:
    """Weights (n, 4) of the four nearest acquired slices at n places in a gap."""
    if method == "linear":
        rows = (0 * t, 1 - t, t, 0 * t)
    elif method == "cubic":
        rows = (
            t * (1 - t) * (t - 2) / 6,
            (1 - t) * (1 + t) * (2 - t) / 2,
            t * (1 + t) * (2 - t) / 2,
            t * (t - 1) * (t + 1) / 6,
        )
    else:
        raise SynthesisError("bad-option", f"Only linear and cubic have local weights; found {method!r}.")
    return np.stack(rows, axis=1)


def extended(slices: np.ndarray) -> np.ndarray:
    """(D, ...) -> (D+2, ...), floating: one slice more at each end, on the straight line through the last two."""
    return np.concatenate([2 * slices[:1] - slices[1:2], slices, 2 * slices[-1:] - slices[-2:-1]])


_Curve = Callable[[float, np.ndarray], np.ndarray]
"""(position, gaps (n,)) -> (n, h, w): what lies at this place in these gaps."""


def _curve(band: np.ndarray, method: str) -> _Curve:
    """The curve through the slices (D, h, w) float64 of a band."""
    return _spline(band) if method == "bspline" else _local(band, method)


def _local(band: np.ndarray, method: str) -> _Curve:
    padded = extended(band)

    def at(position: float, gaps: np.ndarray) -> np.ndarray:
        (row,) = _weights_at(np.array([position]), method)
        between = np.zeros((len(gaps), *band.shape[1:]))
        for tap in np.flatnonzero(row):
            between += row[tap] * padded[gaps + tap]
        return between

    return at


def _spline(band: np.ndarray) -> _Curve:
    """The cubic between two knots, from their values and second derivatives (de Boor, A Practical Guide to Splines)."""
    bend = _second_derivatives(band)

    def at(t: float, gaps: np.ndarray) -> np.ndarray:
        s = 1 - t
        between = s * band[gaps] + t * band[gaps + 1]
        between += ((s**3 - s) / 6) * bend[gaps]
        between += ((t**3 - t) / 6) * bend[gaps + 1]
        return between

    return at


def _second_derivatives(values: np.ndarray) -> np.ndarray:
    """Second derivatives at the knots of the cubic spline through `values`, with not-a-knot ends.

    Between the ends m[k-1] + 4 m[k] + m[k+1] = 6 (v[k-1] - 2 v[k] + v[k+1]). Not-a-knot makes the first and the last
    two pieces one cubic each, m[0] - 2 m[1] + m[2] = 0, which leaves 6 m[1] on the left of the first equation:
    m[1] and m[D-2] are known at once, and the rest is a tridiagonal system solved by one sweep up and one down.
    """
    m = np.empty_like(values)
    m[1:-1] = 6 * (values[:-2] - 2 * values[1:-1] + values[2:])
    m[1] /= 6
    m[-2] /= 6
    carry = np.zeros(len(values))
    for k in range(2, len(values) - 2):
        carry[k] = 1 / (4 - carry[k - 1])
        m[k] = (m[k] - m[k - 1]) * carry[k]
    for k in range(len(values) - 3, 1, -1):
        m[k] -= carry[k] * m[k + 1]
    m[0] = 2 * m[1] - m[2]
    m[-1] = 2 * m[-2] - m[-3]
    return m


def _check(slices: np.ndarray, factor: float, method: str) -> None:
    if method not in METHODS:
        raise SynthesisError("bad-option", f"The method is one of {', '.join(METHODS)}, not {method!r}.")
    if not isinstance(factor, float) or factor < 1:
        whole_factor(factor)  # type: ignore[arg-type]  # which tells what a factor is
    least = LEAST_SLICES[method]
    if len(slices) < least:
        way_out = "choose linear or cubic" if len(slices) >= 2 else "give a stack of slices"
        message = f"{method} interpolation needs at least {least} slices, found {len(slices)}; {way_out}."
        raise SynthesisError("bad-option", message)
