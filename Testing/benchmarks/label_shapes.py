"""Accuracy of carried label maps: masks of bone and lung, thinned out, carried to the thin grid and compared with the truth.

    python Testing/benchmarks/label_shapes.py SCAN ... [--factor 4]

Bone is above 300 HU, lung below -500 HU in the body, both in the thin scan and without specks. Dice counts only slices between
acquired ones, distances only surface points between them. Nearest neighbor takes the nearer slice; linear interpolation is
thresholded at one half, which differs from it only in the middle of a gap.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.metrics import slices_first
from CTSliceSynthesisEngine.synthesis.label_maps import upsample_labels
from CTSliceSynthesisEngine.synthesis.views import row_column_spacing
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.volume import Volume
from surfaces import Region, distances, regions


def answers(thick: Volume, factor: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the mask (D, H, W) of each method."""
    slices = slices_first(thick).astype(np.float32)
    places = np.arange((len(slices) - 1) * factor + 1) / factor
    lower = np.minimum(places.astype(int), len(slices) - 2)
    share = (places - lower)[:, None, None]
    yield "nearest neighbor", slices[np.rint(places).astype(int)] > 0.5
    yield "linear", (1 - share) * slices[lower] + share * slices[lower + 1] >= 0.5
    yield "shapes", slices_first(upsample_labels(thick, factor)) > 0


def main() -> None:
    """Print one line for each scan, mask and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN")
    parser.add_argument("--factor", type=int, default=4)
    options = parser.parse_args()
    print("| scan | mask | method | Dice | mean distance | 95th percentile | volume error |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for path in options.scans:
        scan = read(path)
        spacing = (scan.grid.slice_spacing, *row_column_spacing(scan.grid))
        found = regions(slices_first(scan), spacing)
        for name in ("bone", "lung"):
            mask = np.zeros(slices_first(scan).shape, np.int16)
            region = found[name]
            mask[region.box] = region.without_specks(region.mask(slices_first(scan)))
            labels = replace(scan, voxels=np.moveaxis(mask, 0, scan.slice_array_axis))
            thick, truth = hold_out(labels, options.factor, "gap")
            true = slices_first(truth) > 0
            whole = Region(0.5, True, (slice(None),) * 3, np.ones(true.shape, bool), 0)
            surface = whole.surface(true, true, spacing)
            new = np.arange(len(true)) % options.factor != 0
            for way, answer in answers(thick, options.factor):
                off = distances(whole.surface(answer, answer, spacing), surface, options.factor, spacing[0])
                shared, sizes = (answer & true)[new].sum(), (answer[new].sum(), true[new].sum())
                print(
                    f"| {Path(path).name.split('.')[0]} | {name} | {way} | {2 * shared / sum(sizes):.3f} | {off.mean():.2f} mm"
                    f" | {np.percentile(off, 95):.2f} mm | {100 * (sizes[0] / sizes[1] - 1):+.1f} % |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
