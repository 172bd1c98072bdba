"""Texts that describe a scan and a planned run to the user."""

from __future__ import annotations

import numpy as np
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from CTSliceSynthesisEngine.synthesis.plan import Plan, estimate_seconds
from CTSliceSynthesisEngine.volume.grid import Grid
from slicer.i18n import tr as _

from ..Scene import VolumeNodes

TIMES = " \u00d7 "
DOT = " \u00b7 "
ROUNDING = 0.05  # relative difference below which thickness and spacing count as equal


def stacking(grid: Grid, axis: int) -> str:
    """Return the anatomical direction closest to an axis."""
    names = (_("left to right"), _("back to front"), _("foot to head"))
    return names[int(np.abs(grid.directions[:, axis]).argmax())]


def facts(grid: Grid) -> str:
    """Return the line below the input: size, spacing, slice axis."""
    size = TIMES.join(map(str, grid.size))
    spacing = TIMES.join(f"{value:.3g}" for value in grid.spacing)
    slices = _("slices stacked {direction}").format(direction=stacking(grid, grid.slice_axis))
    return _("{size} voxels of {spacing} mm, {slices}").format(size=size, spacing=spacing, slices=slices)


def thicknessPlaceholder(known: float | None) -> str:
    """Return the placeholder of the slice thickness box.

    Args:
        known: slice thickness according to DICOM, mm.
    """
    return _("unknown: type it here") if known is None else _("{known:.3g} mm by DICOM").format(known=known)


def notes(node, grid: Grid) -> list[str]:
    """Return notes on unusual properties of a scan."""
    lines = []
    if grid.tilt_degrees:
        lines.append(_("Tilted by {angle:.3g}\u00b0: the result keeps the tilt.").format(angle=grid.tilt_degrees))
    parent = node.GetParentTransformNode()
    if parent is not None:
        lines.append(_("Moved by the transform “{name}”: the result will be, too.").format(name=parent.GetName()))
    lines += thicknessNotes(grid)
    if not VolumeNodes.looksLikeCt(node):
        low, high = node.GetImageData().GetScalarRange()
        lines.append(
            _("Values from {low:g} to {high:g} do not look like a CT (Hounsfield units).").format(low=low, high=high)
        )
    return lines


def thicknessNotes(grid: Grid) -> list[str]:
    if grid.thickness is None:
        return []
    ratio = grid.thickness / grid.slice_spacing
    if abs(ratio - 1) <= ROUNDING:
        return []
    relation = _("overlap") if ratio > 1 else _("leave gaps")
    return [
        _("Slices are {thickness:.3g} mm thick and {spacing:.3g} mm apart: they {relation}.").format(
            thickness=grid.thickness, spacing=grid.slice_spacing, relation=relation
        )
    ]


def resolution(factor: int, grid: Grid | None) -> str:
    """Return the entry of the resolution list for a factor."""
    text = _("{factor} times finer").format(factor=factor)
    if grid is None:
        return text
    return text + _(": a slice every {spacing:.3g} mm").format(spacing=grid.slice_spacing / factor)


def isotropic(factor: int | None, grid: Grid | None) -> str:
    """Return the entry of the resolution list for isotropic voxels."""
    if grid is None or factor is None:
        return _("As fine as the pixels")
    return _("As fine as the pixels: a slice every {spacing:.3g} mm ({factor} times)").format(
        spacing=grid.slice_spacing / factor, factor=factor
    )


def planSummary(plan: Plan, device: str) -> str:
    """Describe the result of a planned run, its memory and its duration."""
    size = TIMES.join(map(str, plan.output_grid.size))
    kind = "cpu" if device == "auto" else device.partition(":")[0]
    time = duration(estimate_seconds(plan, kind))
    where = {"cpu": _("on the CPU"), "cuda": _("on the graphics card"), "mps": _("on the graphics chip")}[kind]
    if plan.method == THREE_VIEW and device == "auto":
        where = _("on the CPU, less with a graphics card")
    elif plan.method != THREE_VIEW:
        where = _("on the CPU")
    memory = _("{memory:.1f} GB of memory").format(memory=max(plan.memory_bytes / 1e9, 0.1))
    return DOT.join(
        (_("{size} voxels").format(size=size), memory, _("about {time} {where}").format(time=time, where=where))
    )


def duration(seconds: float) -> str:
    """Format a duration as a rounded estimate."""
    if seconds < 5:
        return _("5 s")
    if seconds < 100:
        return _("{count:.0f} s").format(count=5 * round(seconds / 5))
    return _("{count:.0f} min").format(count=seconds / 60)
