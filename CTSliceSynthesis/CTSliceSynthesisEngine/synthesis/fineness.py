"""How fine a result is to be: which factor an option asks for, and which slices stay acquired ones by it. Torch-free."""

from __future__ import annotations

import math

from ..errors import SynthesisError
from ..volume.grid import TIE, Grid
from .options import FACTORS, SynthesisOptions
from .places import Places

LEAST_SPACING = 0.1
"""mm: no scanner tells slices apart that are nearer."""


def choose_factor(grid: Grid, options: SynthesisOptions) -> tuple[float, list[str]]:
    """The factor that is asked for, directly or as the one for a slice spacing, and what to say of it."""
    factor, spacing, isotropic = options.factor, options.spacing, options.isotropic
    if spacing is None and not isotropic:
        chosen = 2 if factor is None else factor
        if chosen not in FACTORS:
            raise SynthesisError(
                "bad-option", f"The factor is a whole number from {FACTORS[0]} to {FACTORS[-1]}, not {factor!r}."
            )
        return int(chosen), []
    wanted = math.sqrt(math.prod(grid.pixel_spacing)) if spacing is None else spacing
    if options.exact:
        return _exact_factor(grid, wanted)
    if not 0 < wanted < grid.slice_spacing and not isotropic:
        raise SynthesisError(
            "bad-option",
            f"The spacing must lie between 0 and the scan's {grid.slice_spacing:.4g} mm, not at {wanted:g} mm.",
        )
    nearest = min(FACTORS, key=lambda r: abs(math.log(grid.slice_spacing / r / wanted)))
    reached = grid.slice_spacing / nearest
    if math.isclose(reached, wanted, rel_tol=5e-3):
        return nearest, []
    return nearest, [
        f"{wanted:.3g} mm is asked for; the nearest whole factor is {nearest}, which gives {reached:.3g} mm."
    ]


def _exact_factor(grid: Grid, wanted: float) -> tuple[float, list[str]]:
    """The factor that gives exactly so many mm: whole where that brings no slice out of its place."""
    ratio = grid.slice_spacing / wanted if wanted > 0 else math.inf
    if not (wanted >= LEAST_SPACING and ratio > 1 + TIE):
        raise SynthesisError(
            "bad-option",
            f"An exact spacing lies from {LEAST_SPACING:g} mm to less than the scan's {grid.slice_spacing:.4g} mm, not at"
            f" {wanted:.4g} mm; give one between.",
        )
    whole = round(ratio)
    drift = abs(whole / ratio - 1) * (grid.slice_count - 1)  # of the last slice, in acquired spacings
    factor = whole if drift < TIE and whole > 1 else ratio
    remarks = [coincidence(grid, factor)]
    if factor > FACTORS[-1]:
        remarks.append(
            f"Slices {factor:.3g} times closer than the acquired ones are asked for; how good they are was measured up to"
            f" {FACTORS[-1]} times."
        )
    return factor, remarks


def coincidence(grid: Grid, factor: float) -> str:
    """Which slices of a result are acquired ones, in words; they are counted from 1."""
    places = Places(grid.slice_count, factor)
    numbers = [number + 1 for number, _ in places.acquired]
    if len(numbers) == 1:
        some = f"Only the first of the {places.count} slices lies where an acquired one does, and is it"
    else:
        told = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        some = f"{len(numbers)} of the {places.count} slices lie where acquired ones do, and are these ({told})"
    return f"{some}; all others are estimates, those near an acquired slice too."
