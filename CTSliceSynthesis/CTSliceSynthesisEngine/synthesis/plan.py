"""Plan of a run: factor, grid, memory, time. Does not import PyTorch, so that a panel can recompute it often."""

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
_RUNTIME_BYTES = 450_000_000  # PyTorch and its temporary memory, for any depth; measured with Testing/benchmarks
_FILE_SECONDS_PER_VOXEL = 1.5e-7  # converting, fusing and writing one voxel; measured with Testing/benchmarks


@dataclass(frozen=True)
class Plan:
    """Plan of one run.

    Attributes:
        grid: of the input; an unknown slice thickness is replaced by the estimate.
        output_grid: of the result.
        factor: old over new slice spacing: an int, or a float if an exact spacing fills the gaps at different positions,
            see `places`.
        method: one of METHODS.
        output_thickness: target slice thickness of new slices, mm; None if the input's is unknown.
        memory_bytes: estimated peak memory of the whole process.
        work: multiplications of the networks; 0 for classical methods.
        remarks: messages for the user.
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
        """Input slice spacing over the target thickness of new slices; contiguous slices are assumed if unknown."""
        return self.factor if self.output_thickness is None else self.grid.slice_distance / self.output_thickness

    @property
    def thinning(self) -> float:
        """Thickness of the acquired slices over that of the new ones; contiguous slices are assumed if unknown."""
        return self.relative_spacing * self.relative_thickness / self.factor

    @property
    def relative_thickness(self) -> float:
        """Thickness of acquired slices in new slice spacings; contiguous slices are assumed if unknown."""
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
    """Plan a run.

    Args:
        grid: of the input.
        dtype: voxel type of the input; the output has the same.
        options: requested options.
        recipe: of the model, for `three-view`.
        estimated_thickness: mm, estimated from the voxels by `volume.thickness`; used if the grid's thickness is unknown.

    Raises:
        SynthesisError: "bad-option", "bad-geometry" (nothing to gain) or "bad-input" (too few slices).
    """
    check(options, recipe)
    _check_gain(grid, options)
    method = options.method
    chosen, remarks = choose_factor(grid, options)
    _check_factor(chosen, options, recipe)
    fine, estimate = grid.upsampled(chosen), estimated_thickness if grid.thickness is None else None
    if estimate is not None:
        grid = replace(grid, thickness=estimate)
    thinner = output_thickness(grid, chosen)
    if method == THREE_VIEW:
        remarks += _thickness_remarks(grid, estimate)
    acquired = options.acquired
    if acquired == THIN and (thinner is None or grid.thickness is None or thinner >= grid.thickness):
        remarks.append("The acquired slices are kept: they are as thin as the new ones, or not known to be thicker.")
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
    """Reject scans with too few slices, and isotropic scans unless accepted."""
    least = LEAST_SLICES.get(options.method, 2)
    if grid.slice_count < least:
        raise SynthesisError("bad-input", f"{options.method} needs at least {least} slices, found {grid.slice_count}.")
    if grid.is_isotropic and not options.accept_isotropic:
        raise SynthesisError(
            "bad-geometry",
            f"Slices are {grid.slice_spacing:.3g} mm apart and pixels {max(grid.pixel_spacing):.3g} mm, so the scan is"
            " already isotropic and synthesis gains nothing",
            "accept-isotropic",
        )


def _check_factor(chosen: float, options: SynthesisOptions, recipe: Recipe) -> None:
    """Reject a factor that the model or the other options do not support."""
    if options.method == THREE_VIEW and not recipe.supports(chosen):
        only = getattr(recipe, "factor", None)
        raise SynthesisError(
            "bad-model",
            f"The model was trained for factor {only} only, not {chosen:.4g}: use {only}, or choose the compact model.",
        )
    if options.acquired == THIN and not isinstance(chosen, int):
        message = f"Acquired slices can be thinned only if all are kept, but an exact spacing (x{chosen:.4g}) keeps few"
        raise SynthesisError("bad-option", f"{message}: use a whole factor, or keep the acquired slices.")


def _new_slices(grid: Grid, factor: float) -> float:
    """Return the mean number of new slices per gap."""
    places = Places(grid.slice_count, factor)
    return (places.count - len(places.acquired)) / (grid.slice_count - 1)


def output_thickness(grid: Grid, factor: float) -> float | None:
    """Return the target slice thickness of new slices, mm.

    The thickness is compared with the perpendicular slice distance, which gantry tilt makes shorter than the spacing.
    Slices thinner than this distance keep their thickness. Contiguous slices are averages over their whole spacing, so
    new slices between them are to be as thin as the new spacing.
    """
    if grid.thickness is None:
        return None
    contiguous = grid.thickness >= TOUCHING * grid.slice_distance
    return grid.slice_distance / factor if contiguous else grid.thickness


def _thickness_remarks(grid: Grid, estimate: float | None) -> list[Sentence]:
    if estimate is not None:
        reason = f"was estimated from the scan itself: {estimate:.2g} mm"
    elif grid.thickness is None:
        reason = f"is assumed to equal the slice spacing, {grid.slice_distance:.3g} mm"
    else:
        return []
    return [Sentence(f"The slice thickness is unknown and {reason}", "thickness")]


def _memory(grid: Grid, fine: Grid, dtype: np.dtype, method: str, recipe: Recipe, extra_outputs: int) -> int:
    """Return peak memory: the output and the copy being written (the input is freed by then), the method's own, PyTorch."""
    voxels_in, voxels_out = math.prod(grid.size), math.prod(fine.size)
    total = 2 * voxels_out * dtype.itemsize + extra_outputs * 2 * voxels_out
    if method == THREE_VIEW:
        total += _RUNTIME_BYTES
        if not isinstance(recipe, CompactRecipe):  # whole planes: two views of every new slice are kept in memory
            total += 4 * (2 * voxels_out + voxels_in)
    return total


def _work(grid: Grid, new_slices: float, recipe: Recipe) -> float:
    """Return the multiplications of all networks for `new_slices` new slices per gap."""
    in_plane = math.prod(grid.size) / grid.slice_count
    gaps = grid.slice_count - 1
    if isinstance(recipe, CompactRecipe):
        return gaps * in_plane * recipe.work(new_slices)
    blocks = recipe.axial_groups * recipe.axial_blocks * 2 * 2  # encoder twice, one slice each, and the decoder
    axial = 9 * (3 * recipe.patch**2) ** 2 * blocks * 1.5 / recipe.patch**2
    plane = 9 * recipe.plane_features**2 * recipe.plane_groups * recipe.plane_blocks * 2
    return gaps * in_plane * (axial + 2 * plane)


def estimate_seconds(plan: Plan, device: str = "cpu") -> float:
    """Estimate the run time on this machine, including file access, from the speed of earlier runs; see `run_time`."""
    file_seconds = math.prod(plan.output_grid.size) * _FILE_SECONDS_PER_VOXEL
    return START_SECONDS + file_seconds + plan.work / multiplications_per_second(device) if plan.work else file_seconds


def available_memory() -> int | None:
    """Return the memory in bytes available without swapping, or None if the system does not report it."""
    if sys.platform.startswith("linux"):
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    if sys.platform == "win32":
        return _available_on_windows()
    return None  # macOS compresses and swaps automatically, and reports no figure that would justify rejecting a run


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
    """Reject a run that would not fit into memory.

    Raises:
        SynthesisError: "no-memory".
    """
    if available is not None and plan.memory_bytes > available:
        raise SynthesisError(
            "no-memory",
            f"The run needs about {plan.memory_bytes / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free:"
            " use a smaller factor, close other programs, or crop the scan.",
        )
