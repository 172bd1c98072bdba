"""What a picture is made of: scans, maps and facts of one plane, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SynthesisError
from ..volume.volume import Volume
from .metrics import psnr, slices_first, synthesized
from .reformat import Reformat


@dataclass(frozen=True)
class Panel:
    """One scan on the plane.

    Attributes:
        title, note: its name, and a figure or fact beside it.
        image: (rows, columns) HU.
        size: (width, height) in mm; a thick scan is larger, as its outer slices reach further.
    """

    title: str
    note: str
    image: np.ndarray
    size: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A map of something in HU on the plane: title, (rows, columns), colours, and the HU where they end."""

    title: str
    image: np.ndarray
    colours: str
    top: float


def panels_of(
    reformat: Reformat, thick: Volume, cubic: Volume, ours: Volume, truth: Volume | None, factor: int
) -> list[Panel]:
    """The scans from left to right."""
    notes = [f"{thick.grid.slice_spacing:.3g} mm apart", *(_quality(volume, truth, factor) for volume in (cubic, ours))]
    scans = {"thick slices": thick, "4-point cubic": cubic, "synthesized": ours}
    if truth is not None:
        notes.append("held out")
        scans["truth"] = truth
    return [
        Panel(title, note, _whole_rows(reformat, volume, factor if volume is thick else 1), reformat.size(volume.grid))
        for (title, volume), note in zip(scans.items(), notes, strict=True)
    ]


def _whole_rows(reformat: Reformat, volume: Volume, repeat: int) -> np.ndarray:
    """The plane, each slice drawn `repeat` times: thick slices as blocks, in pixels as fine as elsewhere."""
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
    """The maps from left to right. Errors share one scale, so that they can be compared."""

    def difference(first: Volume, second: Volume) -> np.ndarray:
        one, other = (reformat.cut(volume.voxels).astype(np.float32) for volume in (first, second))
        return np.asarray(np.abs(one - other))

    if truth is None:
        titled = {"change against cubic": difference(ours, cubic)}
    else:
        titled = {"error of cubic": difference(cubic, truth), "error of synthesized": difference(ours, truth)}
    top = max(_top(image) for image in titled.values())
    charts = [Chart(title, image, "inferno", top) for title, image in titled.items()]
    if disagreement is not None:
        spread = reformat.cut(disagreement.voxels).astype(np.float32)
        charts.append(Chart("view disagreement", spread, "viridis", _top(spread)))
    return charts


def _top(image: np.ndarray) -> float:
    """Where a colour scale ends: a round HU that one voxel in a hundred exceeds."""
    return max(10.0, float(np.ceil(np.percentile(image, 99) / 10)) * 10)


def facts_of(
    reformat: Reformat, thick: Volume, ours: Volume, factor: int, window: tuple[float, float]
) -> dict[str, str]:
    """What is shown: label -> value."""
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
    """The factor of the fine volumes, which must all lie on the thick grid refined by it."""
    given = {name: volume for name, volume in fine.items() if volume is not None}
    factor = max(1, (given["ours"].grid.slice_count - 1) // max(1, thick.grid.slice_count - 1))
    for name, volume in given.items():
        if not volume.grid.matches(thick.grid.refined(factor)):
            message = f"All scans in a picture must lie on the thick grid refined by {factor}"
            found = f"found {name} of size {volume.grid.size} for thick slices of size {thick.grid.size}"
            raise SynthesisError("bad-geometry", f"{message}; {found}: give results of this very scan.")
    return factor
