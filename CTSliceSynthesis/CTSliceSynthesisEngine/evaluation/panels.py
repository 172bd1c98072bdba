"""Content of a picture: scans, maps and facts for one plane, before drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SynthesisError
from ..volume.volume import Volume
from .metrics import psnr, slices_first, synthesized
from .reformat import Reformat


@dataclass(frozen=True)
class Panel:
    """One scan in the plane.

    Attributes:
        title, note: its name, and an additional metric or fact.
        image: (rows, columns) HU.
        size: (width, height) in mm; a thick scan is larger, because its outer slices extend further.
    """

    title: str
    note: str
    image: np.ndarray
    size: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A map in HU in the plane: title, (rows, columns), color map, and the HU at its upper end."""

    title: str
    image: np.ndarray
    colors: str
    top: float


def panels_of(
    reformat: Reformat, thick: Volume, cubic: Volume, ours: Volume, truth: Volume | None, factor: int
) -> list[Panel]:
    """Return the scans from left to right."""
    notes = [f"{thick.grid.slice_spacing:.3g} mm apart", *(_quality(volume, truth, factor) for volume in (cubic, ours))]
    scans = {"thick slices": thick, "4-point cubic": cubic, "synthesized": ours}
    if truth is not None:
        notes.append("held out")
        scans["truth"] = truth
    return [
        Panel(
            title, note, _repeat_slices(reformat, volume, factor if volume is thick else 1), reformat.size(volume.grid)
        )
        for (title, volume), note in zip(scans.items(), notes, strict=True)
    ]


def _repeat_slices(reformat: Reformat, volume: Volume, repeat: int) -> np.ndarray:
    """Return the plane with each slice repeated `repeat` times: thick slices as blocks, at the same pixel size."""
    along = 0 if reformat.up == volume.grid.slice_axis else 1
    return np.repeat(reformat.cut(volume.voxels), repeat, axis=along)


def _quality(volume: Volume, truth: Volume | None, factor: int) -> str:
    if truth is None:
        return f"{volume.grid.slice_spacing:.3g} mm apart"
    new = synthesized(truth.grid.slice_count, factor)
    return f"{psnr(slices_first(volume)[new] - slices_first(truth)[new]):.2f} dB"


def charts_of(
    reformat: Reformat, cubic: Volume, ours: Volume, truth: Volume | None, disagreement: Volume | None
) -> list[Chart]:
    """Return the maps from left to right. Errors share one scale, so that they can be compared."""

    def difference(first: Volume, second: Volume) -> np.ndarray:
        one, other = (reformat.cut(volume.voxels).astype(np.float32) for volume in (first, second))
        return np.asarray(np.abs(one - other))

    if truth is None:
        images = {"change against cubic": difference(ours, cubic)}
    else:
        images = {"error of cubic": difference(cubic, truth), "error of synthesized": difference(ours, truth)}
    top = max(_top(image) for image in images.values())
    charts = [Chart(title, image, "inferno", top) for title, image in images.items()]
    if disagreement is not None:
        spread = reformat.cut(disagreement.voxels).astype(np.float32)
        charts.append(Chart("view disagreement", spread, "viridis", _top(spread)))
    return charts


def _top(image: np.ndarray) -> float:
    """Return the upper end of a color scale: a round HU value exceeded by 1 % of the voxels."""
    return max(10.0, float(np.ceil(np.percentile(image, 99) / 10)) * 10)


def facts_of(
    reformat: Reformat, thick: Volume, ours: Volume, factor: int, window: tuple[float, float]
) -> dict[str, str]:
    """Return the facts shown: label -> value."""
    before, after, thickness = thick.grid, ours.grid, thick.grid.thickness
    return {
        "factor": f"{factor}",
        "slices": f"{before.slice_count} → {after.slice_count}",
        "spacing": f"{before.slice_spacing:.3g} → {after.slice_spacing:.3g} mm",
        "thickness": f"{thickness:.3g} mm" if thickness else "unknown",
        "plane": f"{reformat.name}, {reformat.plane + 1} of {before.size[reformat.normal]}",
        "window": f"{window[0]:.0f} to {window[1]:.0f} HU".replace("-", "−"),
    }


def factor_of(thick: Volume, fine: dict[str, Volume | None]) -> int:
    """Return the factor of the fine volumes, which must all be on the thick grid refined by it."""
    given = {name: volume for name, volume in fine.items() if volume is not None}
    factor = max(1, (given["ours"].grid.slice_count - 1) // max(1, thick.grid.slice_count - 1))
    for name, volume in given.items():
        if not volume.grid.matches(thick.grid.refined(factor)):
            message = f"All scans in a picture must be on the thick grid refined by {factor}"
            found = f"found {name} of size {volume.grid.size} for thick slices of size {thick.grid.size}"
            raise SynthesisError("bad-geometry", f"{message}; {found}: give results of this scan.")
    return factor
