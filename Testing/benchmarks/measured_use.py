"""What you would measure in a thick scan, in interpolated and in synthesized ones, against the truth.

    python Testing/benchmarks/measured_use.py SCAN[=THICKNESS_MM] ... [--factor 4] [--profiles gap bell] [--out figures.json]
                                              [--pages PAGE.md ...] [--picture bone.png]

Each scan is made thick, then restored by linear, 4-point cubic and cubic B-spline interpolation and by each bundled model. The
surfaces of bone, lung, airway and vessels are compared with those of the truth (see surfaces.py): distances both ways, at
surface points between acquired slices; volumes and numbers of pieces of the whole region. `thick` is the thick scan as it
is, each slice shown halfway to the next. Tables between the markers below are replaced in the pages; the picture shows
the first scan's bone.
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
from surfaces import Region, distances, regions

Row = dict[str, Any]
DETAILS, SUMMARY, END = (
    "<!-- measured_use.py: all regions -->",
    "<!-- measured_use.py: bone and lung -->",
    "<!-- end -->",
)
SUMMARIZED = ("bone", "lung")


def restorations(thick: Volume, factor: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each method's name and slices (D, H, W) HU."""
    slices = slices_first(thick)
    positions = np.arange((len(slices) - 1) * factor + 1)
    yield "thick", slices[np.rint(positions / factor).astype(int)]
    for method in METHODS:
        yield method, slices_first(interpolate_volume(thick, factor, method))
    for model in bundled_models():
        thickness_known = thick.grid.thickness is not None
        yield model.name, slices_first(restored(load(model.name), thick, factor, thickness_known).volume)


def measure(truth: Volume, factor: int, profile: str) -> tuple[list[Row], dict[str, np.ndarray]]:
    """Return one row for each region and method, and the slices (D, H, W) HU of the truth and of each method."""
    thick, trimmed = hold_out(truth, factor, profile)
    true = slices_first(trimmed)
    spacing = (trimmed.grid.slice_spacing, *row_column_spacing(trimmed.grid))
    references = {name: _Reference(region, true, spacing) for name, region in regions(true, spacing).items()}
    methods = dict(restorations(thick, factor))
    rows = [
        {"profile": profile, "region": region, "method": method, **reference.compare(slices, factor)}
        for region, reference in references.items()
        for method, slices in methods.items()
    ]
    return rows, {"truth": true, **methods}


class _Reference:
    """A region of the truth, with which methods are compared."""

    def __init__(self, region: Region, true: np.ndarray, spacing: Sequence[float]) -> None:
        self._region, self._spacing = region, spacing
        self._mask = region.mask(true)
        self._surface = region.surface(true, self._mask, spacing)

    def compare(self, slices: np.ndarray, factor: int) -> Row:
        """Return the figures of a method's slices (D, H, W) HU."""
        mask = self._region.mask(slices)
        surface = self._region.surface(slices, mask, self._spacing)
        errors = distances(surface, self._surface, factor, self._spacing[0])
        true_voxels = int(self._mask.sum())
        return {
            "true_cm3": round(true_voxels * math.prod(self._spacing) / 1000, 1),
            "volume_error_percent": round(100 * (int(mask.sum()) / true_voxels - 1), 2),
            "mean_mm": round(float(errors.mean()), 3),
            "p95_mm": round(float(np.percentile(errors, 95)), 3),
            "pieces": self._region.pieces(mask),
            "true_pieces": self._region.pieces(self._mask),
        }


def details(rows: Sequence[Row], factor: int) -> str:
    """Return one Markdown table for each scan and profile; a region's smallest mean distance is bold."""
    parts = []
    for scan, profile in dict.fromkeys((row["scan"], row["profile"]) for row in rows):
        some = [row for row in rows if (row["scan"], row["profile"]) == (scan, profile)]
        heading = f"**{scan}, x{factor}, {profile}**, one slice every {some[0]['slice_spacing_mm']:g} mm"
        parts.append(f"{heading}\n\n{table(some)}")
    return "\n\n".join(parts)


def table(rows: Sequence[Row]) -> str:
    """Return the Markdown table of one scan and profile."""
    lines = ["| region (truth) | method | volume error | mean distance | 95th percentile | pieces (truth) |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for region in dict.fromkeys(row["region"] for row in rows):
        some = [row for row in rows if row["region"] == region]
        best = min(row["mean_mm"] for row in some)
        for row in some:
            mark = "**" if row["mean_mm"] == best else ""
            name = f"{region} ({row['true_cm3']:.0f} cm³)" if row is some[0] else ""
            lines.append(
                f"| {name} | {row['method']} | {row['volume_error_percent']:+.1f} % | {mark}{row['mean_mm']:.2f} mm{mark}"
                f" | {row['p95_mm']:.2f} mm | {row['pieces']} ({row['true_pieces']}) |"
            )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Return a Markdown table of mean distances of bone and lung: thick, best interpolation, models."""
    models = [method for method in dict.fromkeys(row["method"] for row in rows) if method not in ("thick", *METHODS)]
    lines = [f"| scan | slices | surface | thick | best interpolation | {' | '.join(models)} |"]
    lines += [f"| --- | --- | --- | ---: | ---: | {' | '.join(['---:'] * len(models))} |"]
    for scan, profile, region in dict.fromkeys((row["scan"], row["profile"], row["region"]) for row in rows):
        if region not in SUMMARIZED:
            continue
        some = [row for row in rows if (row["scan"], row["profile"], row["region"]) == (scan, profile, region)]
        mean = {row["method"]: row["mean_mm"] for row in some}
        rival = min(METHODS, key=lambda method: mean[method])
        gains = [f"{mean[model]:.2f} mm ({100 * (mean[model] / mean[rival] - 1):+.0f} %)" for model in models]
        slices = f"{profile}, every {some[0]['slice_spacing_mm']:g} mm"
        interpolation = f"{mean[rival]:.2f} mm, {rival}"
        thick = f"{mean['thick']:.2f} mm"
        lines.append(f"| {' | '.join([scan, slices, region, thick, interpolation, *gains])} |")
    return "\n".join(lines)


def replace_tables(page: Path, tables: dict[str, str]) -> None:
    """Replace what lies between each marker that the page has and the next END."""
    text = page.read_text(encoding="utf-8")
    for marker, content in tables.items():
        if marker in text:
            before, _, rest = text.partition(marker)
            text = f"{before}{marker}\n\n{content}\n\n{END}{rest.partition(END)[2]}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Print tables; write figures, pages and picture where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN[=MM]")
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--profiles", nargs="+", default=["gap", "bell"], choices=PROFILES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pages", nargs="+", type=Path, default=[])
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    for scan in options.scans:
        path, _, thickness = scan.partition("=")
        truth = read(path, thickness=float(thickness) if thickness else None)
        name, spacing = Path(path).name.split(".")[0], round(truth.grid.slice_spacing * options.factor, 3)
        for profile in options.profiles:
            some, volumes = measure(truth, options.factor, profile)
            rows += [{"scan": name, "slice_spacing_mm": spacing, **row} for row in some]
            print(name, profile, table(some), sep="\n\n", flush=True)
            if options.picture and scan == options.scans[0] and profile == options.profiles[-1]:
                draw(volumes, truth.grid, options.picture)
    if options.out:
        options.out.write_text(json.dumps({"factor": options.factor, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    for page in options.pages:
        replace_tables(page, {DETAILS: details(rows, options.factor), SUMMARY: summary(rows)})


if __name__ == "__main__":
    main()
