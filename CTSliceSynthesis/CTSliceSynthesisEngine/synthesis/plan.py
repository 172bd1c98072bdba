"""What a run will do, decided before it starts: factor, grid, memory, time. Torch-free, so that a panel can ask often."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import Sentence, SynthesisError
from ..networks.recipes import PRESETS, TOUCHING, CompactRecipe, Recipe
from ..volume.grid import Grid
from .classical import LEAST_SLICES
from .fineness import choose_factor
from .options import AUTO, ESTIMATE, KEEP, THIN, THREE_VIEW, SynthesisOptions, check
from .places import Places
from .run_time import START_SECONDS, multiplications_per_second

_DEFAULTS = SynthesisOptions()
_RUNTIME_BYTES = 450_000_000  # PyTorch and its scratch memory, whatever the depth; measured with Testing/benchmarks
_FILE_SECONDS_PER_VOXEL = 1.5e-7  # converting, fusing and writing one voxel; measured with Testing/benchmarks


@dataclass(frozen=True)
class Plan:
    """One run, decided.

    Attributes:
        grid: of the input; where its thickness is unknown, with the estimated one.
        output_grid: of the result.
        factor: new slice spacing is the old one divided by it: an int, or a float where an exact spacing fills gaps unlike each
            other, see `places`.
        method: one of METHODS.
        output_thickness: slice thickness, mm, that new slices aim at; None where the input's is unknown.
        memory_bytes: peak of the whole process, estimated.
        work: multiplications of the networks, 0 for classical methods.
        remarks: sentences the user should see.
        acquired, texture, outputs, precision: see `SynthesisOptions`.
    """

    grid: Grid
    output_grid: Grid
    factor: float
    method: str
    output_thickness: float | None
    memory_bytes: int
    work: float
    remarks: tuple[str, ...] = ()
    acquired: str = KEEP
    texture: str = ESTIMATE
    outputs: tuple[str, ...] = ()
    precision: str = AUTO

    @property
    def relative_spacing(self) -> float:
        """Slice spacing of the input over the slice thickness that new slices aim at; unknown ones are taken to touch."""
        return self.factor if self.output_thickness is None else self.grid.slice_distance / self.output_thickness

    @property
    def thinning(self) -> float:
        """Thickness of the acquired slices over that of the new ones; unknown ones are taken to touch."""
        return self.relative_spacing * self.relative_thickness / self.factor

    @property
    def relative_thickness(self) -> float:
        """Thickness of acquired slices, in new slice spacings; unknown ones are taken to touch."""
        return (
            self.factor if self.grid.thickness is None else self.grid.thickness / self.grid.slice_distance * self.factor
        )


def make_plan(
    grid: Grid,
    dtype: np.dtype,
    options: SynthesisOptions = _DEFAULTS,
    *,
    recipe: Recipe = PRESETS["compact"],
    estimated_thickness: float | None = None,
) -> Plan:
    """Decide a run.

    Args:
        grid: of the input.
        dtype: voxel type of the input; the output has the same.
        options: what is asked for.
        recipe: of the model, for `three-view`.
        estimated_thickness: mm, what the scan itself tells, see `volume.thickness`; for grids whose thickness is unknown.

    Raises:
        SynthesisError: "bad-option", "bad-geometry" (nothing to gain) or "bad-input" (too few slices).
    """
    check(options, recipe)
    _check_gain(grid, options)
    method = options.method
    chosen, remarks = choose_factor(grid, options)
    _check_factor(chosen, options, recipe)
    fine, estimate = grid.brought_to(chosen), estimated_thickness if grid.thickness is None else None
    if estimate is not None:
        grid = replace(grid, thickness=estimate)
    thinner = output_thickness(grid, chosen)
    if method == THREE_VIEW:
        remarks += _thickness_remarks(grid, estimate)
    acquired = options.acquired
    if acquired == THIN and (thinner is None or grid.thickness is None or thinner >= grid.thickness):
        remarks.append("The acquired slices are as thin as the new ones, or not known to be thicker: they are kept.")
        acquired = KEEP
    return Plan(
        grid=grid,
        output_grid=fine if acquired == KEEP else replace(fine, thickness=thinner),
        factor=chosen,
        method=method,
        output_thickness=thinner,
        memory_bytes=_memory(grid, fine, dtype, method, recipe, len(options.outputs)),
        work=_work(grid, _new_slices(grid, chosen) + 2 * (acquired == THIN), recipe) if method == THREE_VIEW else 0.0,
        remarks=tuple(remarks),
        acquired=acquired,
        texture=options.texture,
        outputs=options.outputs,
        precision=options.precision,
    )


def _check_gain(grid: Grid, options: SynthesisOptions) -> None:
    """Refuse a scan of too few slices, and one between whose slices nothing is gained."""
    least = LEAST_SLICES.get(options.method, 2)
    if grid.slice_count < least:
        raise SynthesisError("bad-input", f"{options.method} needs at least {least} slices, found {grid.slice_count}.")
    if grid.is_isotropic and not options.accept_isotropic:
        raise SynthesisError(
            "bad-geometry",
            f"Slices are {grid.slice_spacing:.3g} mm apart and pixels {max(grid.pixel_spacing):.3g} mm, so the scan is"
            " already isotropic and nothing is gained between its slices",
            "accept-isotropic",
        )


def _check_factor(chosen: float, options: SynthesisOptions, recipe: Recipe) -> None:
    """Refuse a factor that the model, or what is asked for beside it, does not go with."""
    if options.method == THREE_VIEW and not recipe.supports(chosen):
        only = getattr(recipe, "factor", None)
        raise SynthesisError(
            "bad-model",
            f"The model was trained for factor {only} alone, not {chosen:.4g}: ask for {only}, or take compact.",
        )
    if options.acquired == THIN and not isinstance(chosen, int):
        message = (
            f"Acquired slices are made thinner where all of them stay, but an exact spacing (x{chosen:.4g}) keeps few"
        )
        raise SynthesisError("bad-option", f"{message}: ask for a whole factor, or keep them as they are.")


def _new_slices(grid: Grid, factor: float) -> float:
    """How many new slices a gap gets, in the mean."""
    places = Places(grid.slice_count, factor)
    return (places.count - len(places.acquired)) / (grid.slice_count - 1)


def output_thickness(grid: Grid, factor: float) -> float | None:
    """Slice thickness that new slices aim at, mm.

    The thickness is compared with the distance across the slices, which a tilted gantry makes shorter than their spacing.
    Slices thinner than it keep their thickness. Slices that touch each other are averages over their whole
    spacing, and new ones between them shall be as thin as the new spacing.
    """
    if grid.thickness is None:
        return None
    touching = grid.thickness >= TOUCHING * grid.slice_distance
    return grid.slice_distance / factor if touching else grid.thickness


def _thickness_remarks(grid: Grid, estimate: float | None) -> list[Sentence]:
    if estimate is not None:
        told = f"estimated from the scan itself: {estimate:.2g} mm"
    elif grid.thickness is None:
        told = f"taken to be the slice spacing, {grid.slice_distance:.3g} mm"
    else:
        return []
    return [Sentence(f"The slice thickness is unknown and {told}", "thickness")]


def _memory(grid: Grid, fine: Grid, dtype: np.dtype, method: str, recipe: Recipe, extras: int) -> int:
    """The output and the copy that is written, by when the input is gone; what the method holds beside, and the runtime."""
    voxels_in, voxels_out = math.prod(grid.size), math.prod(fine.size)
    total = 2 * voxels_out * dtype.itemsize + extras * 2 * voxels_out
    if method == THREE_VIEW:
        total += _RUNTIME_BYTES
        if not isinstance(recipe, CompactRecipe):  # whole planes: two views of every new slice wait in memory
            total += 4 * (2 * voxels_out + voxels_in)
    return total


def _work(grid: Grid, new_slices: float, recipe: Recipe) -> float:
    """Multiplications of all networks, with so many new slices in each gap."""
    in_plane = math.prod(grid.size) / grid.slice_count
    gaps = grid.slice_count - 1
    if isinstance(recipe, CompactRecipe):
        return gaps * in_plane * recipe.work(new_slices)
    blocks = recipe.axial_groups * recipe.axial_blocks * 2 * 2  # encoder twice, one slice each, and the decoder
    axial = 9 * (3 * recipe.patch**2) ** 2 * blocks * 1.5 / recipe.patch**2
    plane = 9 * recipe.plane_features**2 * recipe.plane_groups * recipe.plane_blocks * 2
    return gaps * in_plane * (axial + 2 * plane)


def estimate_seconds(plan: Plan, device: str = "cpu") -> float:
    """How long the run will take on this machine, files included, from what earlier runs reached; see `calibration`."""
    moving = math.prod(plan.output_grid.size) * _FILE_SECONDS_PER_VOXEL
    return START_SECONDS + moving + plan.work / multiplications_per_second(device) if plan.work else moving


def available_memory() -> int | None:
    """Bytes that a process could use now without swapping; None where the system does not tell."""
    if sys.platform.startswith("linux"):
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    if sys.platform == "win32":
        return _available_on_windows()
    return None  # macOS compresses and swaps by itself, and tells no figure worth refusing a run for


def _available_on_windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "available", "page", "page_free", "virtual", "v", "x")
        ]

    status = Status(length=ctypes.sizeof(Status))
    known = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.available) if known else None


def check_memory(plan: Plan, available: int | None) -> None:
    """Refuse a run that would not fit, before it starts.

    Raises:
        SynthesisError: "no-memory".
    """
    if available is not None and plan.memory_bytes > available:
        raise SynthesisError(
            "no-memory",
            f"The run needs about {plan.memory_bytes / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free:"
            " take a smaller factor, close other programs, or crop the scan.",
        )
