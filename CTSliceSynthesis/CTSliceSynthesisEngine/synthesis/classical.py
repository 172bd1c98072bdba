"""Classical baselines: linear, 4-point cubic and cubic B-spline interpolation between acquired slices.

They need no network, work without PyTorch, and are the baseline that every network has to beat.
Acquired slices are always copied, never recomputed:

    acquired       0        1        2           D slices
    result         0  .  .  3  .  .  6           (D-1)*factor+1 slices, here factor 3
                      1  2     4  5              phase p lies p/factor of the way to the next acquired slice

With fractional factors the gaps are filled at different positions, see `places`.
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
"""Minimum number of acquired slices for each method."""

_BAND_VOXELS = 1 << 20
"""Acquired voxels per band of rows; keeps temporary memory near 50 MB for any depth."""

Progress = Callable[[str, int, int], None]


def interpolate(slices: np.ndarray, factor: int, method: str) -> np.ndarray:
    """Interpolate slices in memory.

    Args:
        slices: (D, H, W) float32 acquired slices, slice axis first, any unit.
        factor: result slices per acquired slice spacing, at least 1.
        method: one of METHODS.

    Returns:
        ((D-1)*factor+1, H, W) float32 in the same unit; overshoot is not clipped.

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
    """Interpolate slices into `out`, one band of rows at a time, so that memory does not grow with depth.

    Args:
        slices: (D, H, W), slice axis first, any real type; may be a view or a memory map.
        factor: result slices per acquired slice spacing, at least 1, integer or fractional.
        method: one of METHODS.
        out: (N, H, W), N as in `places.Places`, filled in place; integers are rounded and clipped to the type's range.
        progress: called with (method, rows done, total rows) after each band.

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
    """Interpolate a volume along its slice axis onto `volume.grid.refined(factor)`; the voxel type is kept."""
    grid = volume.grid.refined(factor)
    voxels = np.empty(grid.size[::-1], volume.voxels.dtype)
    slices, fine = slices_first(volume.voxels, grid), slices_first(voxels, grid)
    interpolate_into(slices, factor, method, fine, progress)
    return replace(volume, voxels=voxels, grid=grid)


def weights(factor: int, method: str) -> np.ndarray:
    """Return the weights of the four nearest acquired slices for every phase of a local method.

    The slices are k-1, k, k+1, k+2 for a phase between k and k+1. Beyond the ends, see `extrapolate_ends`.

    Args:
        factor: result slices per acquired slice spacing, at least 1.
        method: "linear" or "cubic" (the Lagrange polynomial through the four).

    Returns:
        (factor-1, 4) float32; each row sums to one.

    Raises:
        SynthesisError: bad-option for any other method (a B-spline has no local weights).
    """
    return _table(factor, method).astype(np.float32)


def _table(factor: int, method: str) -> np.ndarray:
    """Return `weights` in float64: in float32, inexact thirds and sixths would round half a HU the wrong way."""
    return _weights_at(np.arange(1, factor, dtype=np.float64) / factor, method)


def _weights_at(t: np.ndarray, method: str) -> np.ndarray:
    """Return the weights (n, 4) of the four nearest acquired slices at n positions in a gap."""
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


def extrapolate_ends(slices: np.ndarray) -> np.ndarray:
    """Add one slice at each end by linear extrapolation: (D, ...) -> (D+2, ...), floating point."""
    return np.concatenate([2 * slices[:1] - slices[1:2], slices, 2 * slices[-1:] - slices[-2:-1]])


_Curve = Callable[[float, np.ndarray], np.ndarray]
"""(position, gaps (n,)) -> (n, h, w): the interpolated values at this position in these gaps."""


def _curve(band: np.ndarray, method: str) -> _Curve:
    """Return the interpolating curve through the slices (D, h, w) float64 of a band."""
    return _spline(band) if method == "bspline" else _local(band, method)


def _local(band: np.ndarray, method: str) -> _Curve:
    padded = extrapolate_ends(band)

    def evaluate(position: float, gaps: np.ndarray) -> np.ndarray:
        (row,) = _weights_at(np.array([position]), method)
        values = np.zeros((len(gaps), *band.shape[1:]))
        for tap in np.flatnonzero(row):
            values += row[tap] * padded[gaps + tap]
        return values

    return evaluate


def _spline(band: np.ndarray) -> _Curve:
    """Return the cubic spline from knot values and second derivatives (de Boor, A Practical Guide to Splines)."""
    second = _second_derivatives(band)

    def evaluate(t: float, gaps: np.ndarray) -> np.ndarray:
        s = 1 - t
        values = s * band[gaps] + t * band[gaps + 1]
        values += ((s**3 - s) / 6) * second[gaps]
        values += ((t**3 - t) / 6) * second[gaps + 1]
        return values

    return evaluate


def _second_derivatives(values: np.ndarray) -> np.ndarray:
    """Return the second derivatives at the knots of the cubic spline through `values`, with not-a-knot ends.

    Between the ends, m[k-1] + 4 m[k] + m[k+1] = 6 (v[k-1] - 2 v[k] + v[k+1]). Not-a-knot makes the first two and the
    last two pieces one cubic each, m[0] - 2 m[1] + m[2] = 0, which leaves 6 m[1] on the left of the first equation:
    m[1] and m[D-2] follow directly, and the rest is a tridiagonal system, solved by forward and back substitution.
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
        whole_factor(factor)  # type: ignore[arg-type]  # raises the error for invalid factors
    least = LEAST_SLICES[method]
    if len(slices) < least:
        remedy = "choose linear or cubic" if len(slices) >= 2 else "give a stack of slices"
        message = f"{method} interpolation needs at least {least} slices, found {len(slices)}; {remedy}."
        raise SynthesisError("bad-option", message)
