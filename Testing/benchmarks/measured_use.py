"""Proof that it helps: what one would measure in the thick scan, in interpolated ones, in ours, and in the truth.

    python Testing/benchmarks/measured_use.py SCAN[=THICKNESS_MM] ... [--factor 4] [--profiles gap bell] [--out figures.json]
                                              [--page measured_use.md] [--picture bone.png]

Every scan is made thick, restored by linear, 4-point cubic and cubic B-spline interpolation and by each bundled model, and the
surfaces of bone, lung, airway and vessels are held against those of the truth; see `surfaces`. Distances are those of surface
points between acquired slices, both ways; volumes and pieces are those of the whole region. `thick` is the thick scan as it
is: each slice is shown up to half way to the next. The page's tables are replaced; the picture shows the first scan's bone.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bone_picture import draw
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.metrics import slices_first
from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.networks.registry import bundled_models
from CTSliceSynthesisEngine.synthesis.classical import METHODS, interpolate_volume
from CTSliceSynthesisEngine.synthesis.views import row_column_spacing
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.thinning import PROFILES
from CTSliceSynthesisEngine.volume.volume import Volume
from quality import restored
from scipy import ndimage
from surfaces import Region, distances, regions

Row = dict[str, Any]
BEGIN, END = "<!-- tables: Testing/benchmarks/measured_use.py -->", "<!-- end of tables -->"


def answers(thick: Volume, factor: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and slices (D, H, W) HU of every answer."""
    slices = slices_first(thick)
    places = np.arange((len(slices) - 1) * factor + 1)
    yield "thick", slices[np.rint(places / factor).astype(int)]
    for method in METHODS:
        yield method, slices_first(interpolate_volume(thick, factor, method))
    for model in bundled_models():
        told = thick.grid.thickness is not None
        yield model.name, slices_first(restored(load(model.name), thick, factor, told).volume)


def measured(truth: Volume, factor: int, profile: str) -> tuple[list[Row], dict[str, np.ndarray]]:
    """A row for each region and answer, and the slices (D, H, W) of truth and answers by name."""
    thick, trimmed = hold_out(truth, factor, profile)
    true = slices_first(trimmed)
    spacing = (trimmed.grid.slice_spacing, *row_column_spacing(trimmed.grid))
    held = {name: _Held(region, true, spacing) for name, region in regions(true, spacing).items()}
    made = {"truth": true, **dict(answers(thick, factor))}
    rows = [
        {"profile": profile, "region": region, "method": method, **one.against(made[method], factor)}
        for region, one in held.items()
        for method in list(made)[1:]
    ]
    return rows, made


class _Held:
    """A region of the truth, to hold answers against."""

    def __init__(self, region: Region, true: np.ndarray, spacing: Sequence[float]) -> None:
        self._region, self._spacing = region, spacing
        self._inside = region.inside(true)
        self._surface = region.surface(true, self._inside, spacing)

    def against(self, slices: np.ndarray, factor: int) -> Row:
        """The figures of an answer (D, H, W) HU."""
        inside = self._region.inside(slices)
        surface = self._region.surface(slices, inside, self._spacing)
        off = distances(surface, self._surface, factor, self._spacing[0])
        true_voxels = int(self._inside.sum())
        return {
            "true_cm3": round(true_voxels * math.prod(self._spacing) / 1000, 1),
            "volume_error_percent": round(100 * (int(inside.sum()) / true_voxels - 1), 2),
            "mean_mm": round(float(off.mean()), 3),
            "p95_mm": round(float(np.percentile(off, 95)), 3),
            "pieces": int(ndimage.label(inside)[1]),
            "true_pieces": int(ndimage.label(self._inside)[1]),
        }


def table(rows: Sequence[Row]) -> str:
    """One scan and profile in Markdown; the best mean distance of a region is bold."""
    lines = ["| region (truth) | method | volume error | mean distance | 95th percentile | pieces (truth) |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for region in dict.fromkeys(row["region"] for row in rows):
        some = [row for row in rows if row["region"] == region]
        best = min(row["mean_mm"] for row in some)
        for row in some:
            mark = "**" if row["mean_mm"] == best else ""
            head = f"{region} ({row['true_cm3']:.0f} cm³)" if row is some[0] else ""
            lines.append(
                f"| {head} | {row['method']} | {row['volume_error_percent']:+.1f} % | {mark}{row['mean_mm']:.2f} mm{mark}"
                f" | {row['p95_mm']:.2f} mm | {row['pieces']} ({row['true_pieces']}) |"
            )
    return "\n".join(lines)


def tables(rows: Sequence[Row], factor: int) -> str:
    """All of them, with their heads."""
    parts = []
    for scan, profile in dict.fromkeys((row["scan"], row["profile"]) for row in rows):
        some = [row for row in rows if (row["scan"], row["profile"]) == (scan, profile)]
        parts.append(
            f"**{scan}, x{factor}, {profile}**, from a slice every {some[0]['slice_spacing_mm']:g} mm\n\n{table(some)}"
        )
    return "\n\n".join(parts)


def main() -> None:
    """Print tables; write JSON, page and picture where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN[=MM]")
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--profiles", nargs="+", default=["gap", "bell"], choices=PROFILES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    for scan in options.scans:
        path, _, thickness = scan.partition("=")
        truth = read(path, thickness=float(thickness) if thickness else None)
        name, spacing = Path(path).name.split(".")[0], round(truth.grid.slice_spacing * options.factor, 3)
        for profile in options.profiles:
            found, made = measured(truth, options.factor, profile)
            rows += [{"scan": name, "slice_spacing_mm": spacing, **row} for row in found]
            print(name, profile, table(found), sep="\n\n", flush=True)
            if options.picture and scan == options.scans[0] and profile == options.profiles[-1]:
                draw(made, truth.grid, options.picture)
    text = tables(rows, options.factor)
    if options.out:
        options.out.write_text(json.dumps({"factor": options.factor, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if options.page:
        before, _, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
        options.page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
