"""Choice of the upsampling factor, and which slices of the result are acquired ones. Does not import PyTorch."""

from __future__ import annotations

import math

from ..errors import SynthesisError
from ..volume.grid import TIE, Grid
from .options import FACTORS, SynthesisOptions
from .places import Places

LEAST_SPACING = 0.1
"""mm; no scanner resolves slices that are closer."""


def choose_factor(grid: Grid, options: SynthesisOptions) -> tuple[float, list[str]]:
    """Return the requested factor, given directly or derived from a slice spacing, and remarks for the user."""
    factor, spacing, isotropic = options.factor, options.spacing, options.isotropic
    if spacing is None and not isotropic:
        chosen = 2 if factor is None else factor
        if chosen not in FACTORS:
            raise SynthesisError(
                "bad-option", f"The factor is a whole number from {FACTORS[0]} to {FACTORS[-1]}, not {factor!r}."
            )
        return int(chosen), []
    target = math.sqrt(math.prod(grid.pixel_spacing)) if spacing is None else spacing
    if options.exact:
        return _exact_factor(grid, target)
    if not 0 < target < grid.slice_spacing and not isotropic:
        raise SynthesisError(
            "bad-option",
            f"The spacing must be between 0 and the scan's {grid.slice_spacing:.4g} mm, not {target:g} mm.",
        )
    nearest = min(FACTORS, key=lambda r: abs(math.log(grid.slice_spacing / r / target)))
    actual = grid.slice_spacing / nearest
    if math.isclose(actual, target, rel_tol=5e-3):
        return nearest, []
    return nearest, [
        f"{target:.3g} mm was requested; the nearest whole factor is {nearest}, which gives {actual:.3g} mm."
    ]


def _exact_factor(grid: Grid, target: float) -> tuple[float, list[str]]:
    """Return the factor for exactly `target` mm, rounded to an integer if that displaces no slice, and remarks."""
    ratio = grid.slice_spacing / target if target > 0 else math.inf
    if not (target >= LEAST_SPACING and ratio > 1 + TIE):
        raise SynthesisError(
            "bad-option",
            f"An exact spacing must be at least {LEAST_SPACING:g} mm and less than the scan's"
            f" {grid.slice_spacing:.4g} mm, not {target:.4g} mm; choose one in this range.",
        )
    whole = round(ratio)
    drift = abs(whole / ratio - 1) * (grid.slice_count - 1)  # of the last slice, in acquired spacings
    factor = whole if drift < TIE and whole > 1 else ratio
    remarks = [coincidence(grid, factor)]
    if factor > FACTORS[-1]:
        remarks.append(
            f"Slices {factor:.3g} times closer than the acquired ones were requested; the quality has been measured"
            f" only up to {FACTORS[-1]} times."
        )
    return factor, remarks


def coincidence(grid: Grid, factor: float) -> str:
    """Describe which slices of a result are acquired ones, counting from 1."""
    places = Places(grid.slice_count, factor)
    numbers = [number + 1 for number, _ in places.acquired]
    if len(numbers) == 1:
        sentence = f"Only the first of the {places.count} slices coincides with an acquired one and is copied"
    else:
        listed = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        sentence = f"{len(numbers)} of the {places.count} slices coincide with acquired ones and are copied ({listed})"
    return f"{sentence}; all others are estimates, including those near an acquired slice."
