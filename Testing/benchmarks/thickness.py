"""Accuracy of the slice thickness estimate: fit `volume.thickness`, and cross-validate it over patients.

    python Testing/benchmarks/thickness.py COHORT --sources Testing/benchmarks/training_sources.csv

Every scan is made thick in many ways: slices dropped, averaged over boxes and bells, with gaps, touching and overlapping.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from CTSliceSynthesisEngine.training.scans.cohort import find
from CTSliceSynthesisEngine.training.scans.source_table import read_sources
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.thickness import THIN, TOUCH, terms
from CTSliceSynthesisEngine.volume.thinning import profile_weights
from CTSliceSynthesisEngine.volume.volume import Volume

FACTORS = range(1, 7)
WAYS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 0.0), (1.5, 0.0), (1.5, 1.0), (0.7, 1.0))
"""Width in slice spacings, 0 for slices as they are; and how much of a bell."""
FEWEST, FARTHEST = 6, 10.0  # slices, mm
RIDGE = 0.02


def thickened(scan: Volume, factor: int, width: float, bell: float) -> Volume:
    """Return a scan with fewer and thicker slices of known thickness."""
    slices = np.moveaxis(scan.voxels, scan.slice_array_axis, 0)
    weights = profile_weights(max(1.0, width * factor), bell) if width else np.ones(1)
    around = np.arange(len(weights)) - len(weights) // 2
    thick = [
        np.tensordot(weights, slices[np.clip(at + around, 0, len(slices) - 1)].astype(np.float32), 1)
        for at in range(0, (len(slices) - 1) // factor * factor + 1, factor)
    ]
    grid, own = scan.grid.coarsened(factor), scan.grid.thickness
    assert own is not None
    made = max(own, width * grid.slice_spacing) if own <= 1.01 * scan.grid.slice_spacing or not width else np.hypot(
        own, width * grid.slice_spacing
    )  # fmt: skip
    return Volume(np.moveaxis(np.stack(thick), 0, scan.slice_array_axis), replace(grid, thickness=float(made)))


def examples(scan: Volume) -> Iterator[tuple[str, float, np.ndarray]]:
    """How a scan was made thick, its thickness in slice spacings, and what is seen of it."""
    for factor in FACTORS:
        for width, bell in WAYS if factor > 1 else WAYS[:1]:
            grid = scan.grid.coarsened(factor)
            if grid.slice_count < FEWEST or grid.slice_spacing > FARTHEST or 0 < width * factor < 1.3:
                continue
            thick = thickened(scan, factor, width, bell)
            seen = terms(thick)
            if seen is not None and thick.grid.thickness is not None:
                way = f"x{factor} " + (f"{'bell' if bell else 'box'} {width:g}" if width else "gap")
                yield way, min(max(thick.grid.thickness / grid.slice_spacing, 0.1), 2.0), seen


def fitted(seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares with a pull towards none of each term's own size."""
    mean, spread = seen[:, 1:].mean(0), seen[:, 1:].std(0)
    scaled = np.column_stack([np.ones(len(seen)), (seen[:, 1:] - mean) / spread])
    pull = RIDGE * len(seen) * np.diag([0.0] + [1.0] * (seen.shape[1] - 1))
    found = np.linalg.solve(scaled.T @ scaled + pull, scaled.T @ wanted)
    slopes = found[1:] / spread
    return np.concatenate([[found[0] - slopes @ mean], slopes])


def main() -> None:
    """Print what each patient is told by the others, and the numbers of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--sources", required=True)
    options = parser.parse_args()
    known = read_sources(options.sources)
    scans = {scan.name: read(scan.path, thickness=known[scan.name].thickness) for scan in find(options.cohort)}
    told = {name: list(examples(scan)) for name, scan in scans.items()}
    off = []
    for name, own in told.items():
        others = [row for other, rows in told.items() if other != name for row in rows]
        numbers = fitted(np.array([row[2] for row in others]), np.log([row[1] for row in others]))
        for way, true, seen in own:
            ratio = float(np.exp(numbers @ seen))
            off.append(abs(np.log(ratio / true)))
            kind = "touching" if ratio >= TOUCH else "thin" if ratio < THIN else "either"
            print(f"{name:28s} {way:12s} {true:5.2f} spacings thick, told {ratio:5.2f}, {kind}")
    print(
        f"off by a factor of {np.exp(np.median(off)):.2f} in the middle, {np.exp(np.percentile(off, 90)):.2f} for nine of ten"
    )
    rows = [row for rows in told.values() for row in rows]
    numbers = fitted(np.array([row[2] for row in rows]), np.log([row[1] for row in rows]))
    print("COEFFICIENTS =", tuple(round(float(number), 4) for number in numbers))


if __name__ == "__main__":
    main()
