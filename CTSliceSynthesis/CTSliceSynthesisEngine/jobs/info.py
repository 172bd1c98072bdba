"""The job "info": describe a scan, and the result of each upsampling factor. Torch-free."""

from __future__ import annotations

from typing import Any

from ..errors import SynthesisError
from ..networks.recipes import from_dict
from ..networks.registry import DEFAULT_MODEL, bundled_models
from ..synthesis.options import FACTORS, SynthesisOptions
from ..synthesis.plan import estimate_seconds, make_plan
from ..volume import files
from ..volume.files import Header
from ..volume.grid import Grid
from ..volume.thickness import estimate_thickness


def info(
    path: str, *, series: str | None = None, axis: int | None = None, thickness: float | None = None
) -> dict[str, Any]:
    """Return facts about a scan.

    Returns:
        "file", "size", "voxel_type", "spacing_mm", "thickness_mm" (None: unknown), "estimated_thickness_mm" (estimated
        from the voxels if unknown; else None), "slice_axis", "slices",
        "notes" (sentences about unusual properties) and "factors": one object each with "factor", "size",
        "slice_spacing_mm", "memory_bytes", "estimated_seconds" with the default model for CPUs, and "models": seconds with
        each bundled model, by name.

    Raises:
        SynthesisError: "bad-input", "bad-geometry" or "bad-option".
    """
    header, notes = _header(path, series, axis, thickness)
    grid = header.grid
    estimate = None if grid.thickness else _estimate(path, series, axis)
    return {
        "file": path,
        "size": list(grid.size),
        "voxel_type": str(header.dtype),
        "spacing_mm": [round(value, 4) for value in grid.spacing],
        "thickness_mm": grid.thickness,
        "estimated_thickness_mm": None if estimate is None else round(estimate, 3),
        "slice_axis": grid.slice_axis,
        "slices": grid.slice_count,
        "notes": [*notes, *header.warnings, *header.notes, *_unusual(grid)],
        "factors": [_factor(header, factor) for factor in FACTORS],
    }


def _header(path: str, series: str | None, axis: int | None, thickness: float | None) -> tuple[Header, list[str]]:
    """Read the header; uneven slice spacing is reported as a note instead of an error, since nothing is synthesized."""
    try:
        return files.read_header(path, series=series, slice_axis=axis, thickness=thickness), []
    except SynthesisError as error:
        if error.reason != "bad-geometry":
            raise
        header = files.read_header(path, series=series, slice_axis=axis, thickness=thickness, resample_irregular=True)
        return header, [str(error)]


def _estimate(path: str, series: str | None, axis: int | None) -> float | None:
    """Estimate the slice thickness from the voxels, mm."""
    volume = files.read(path, series=series, slice_axis=axis, resample_irregular=True)
    return estimate_thickness(volume)


def _unusual(grid: Grid) -> list[str]:
    notes = []
    if grid.is_oblique:
        notes.append("The stack is oblique: its axes are not those of the patient.")
    if grid.tilt_degrees:
        notes.append(f"The stack is tilted by {grid.tilt_degrees:.3g} degrees; NRRD and MHA keep that, NIfTI does not.")
    if grid.is_left_handed:
        notes.append("The stack is left-handed: its slices run against the normal of their planes.")
    if grid.thickness is not None and abs(grid.thickness / grid.slice_distance - 1) > 0.05:
        relation = "overlap" if grid.thickness > grid.slice_distance else "leave gaps"
        notes.append(
            f"Slices are {grid.thickness:.3g} mm thick and {grid.slice_distance:.3g} mm apart: they {relation}."
        )
    if grid.is_isotropic:
        notes.append("The scan is already isotropic: slices between its slices would add nothing.")
    return notes


def _factor(header: Header, factor: int) -> dict[str, Any]:
    options = SynthesisOptions(factor=factor, accept_isotropic=True)
    plans = {
        model.name: make_plan(header.grid, header.dtype, options, recipe=from_dict(model.card["recipe"]))
        for model in bundled_models()
    }
    plan, seconds = plans[DEFAULT_MODEL], {name: round(estimate_seconds(plan), 1) for name, plan in plans.items()}
    return {
        "factor": factor,
        "size": list(plan.output_grid.size),
        "slice_spacing_mm": round(plan.output_grid.slice_spacing, 4),
        "memory_bytes": plan.memory_bytes,
        "estimated_seconds": seconds[DEFAULT_MODEL],
        "models": seconds,
    }


def as_text(facts: dict[str, Any]) -> str:
    """Format the facts for a terminal."""
    size, spacing = " x ".join(map(str, facts["size"])), " x ".join(f"{value:g}" for value in facts["spacing_mm"])
    thickness, estimate = facts["thickness_mm"], facts["estimated_thickness_mm"]
    guess = "" if estimate is None else f", about {estimate:.2g} mm by the scan itself"
    thickness = f"unknown{guess}" if thickness is None else f"{thickness:g} mm"
    lines = [
        f"{facts['file']}",
        f"  size             {size} voxels, {facts['voxel_type']}",
        f"  spacing          {spacing} mm",
        f"  slice axis       {facts['slice_axis']} ({'ijk'[facts['slice_axis']]}), {facts['slices']} slices",
        f"  slice thickness  {thickness}",
        *(f"  note             {note}" for note in facts["notes"]),
        "",
        "  factor  slices  slice spacing   memory     time on this processor, estimated",
    ]
    for row in facts["factors"]:
        slices = row["size"][facts["slice_axis"]]
        lines.append(
            f"  x{row['factor']:<6} {slices:6d}  {row['slice_spacing_mm']:10.3g} mm {row['memory_bytes'] / 1e9:6.1f} GB"
            "  " + ", ".join(f"{name} {_duration(seconds)}" for name, seconds in row["models"].items())
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
