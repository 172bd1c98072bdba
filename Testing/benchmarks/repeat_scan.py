"""What a second scan of the same patient would score: how much of a tissue's bias is the noise of the truth it is judged by.

    python Testing/benchmarks/repeat_scan.py SCAN ... [--factor 2]

Every scan stands for an anatomy that is known. To it is added, twice and independently, noise as strong at each place as the
scan's own: one sum is the truth, the other a second scan. The anatomy itself, as the best of all answers, and the second
scan are then held against the truth with the figures of `ctslices evaluate`. A tissue that is picked by the truth's HU
is picked by its noise as well, which no answer knows.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.metrics import TISSUES, score, slices_first
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.intensity import HU_MAX, HU_MIN
from CTSliceSynthesisEngine.volume.volume import Volume
from scipy import ndimage

SIGMA = 2.0  # pixels: what varies faster is noise, where edges are few
AROUND = 17  # pixels across, of the neighbourhood whose median noise counts
NORMAL = 1.4826  # standard deviation of a normal law over its median absolute deviation


def noise_hu(slices: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise at each place, HU: edges are too few to move a median."""
    fast = np.abs(slices - ndimage.gaussian_filter(slices, (0, SIGMA, SIGMA)))
    coarse = ndimage.median_filter(fast[:, ::2, ::2], (1, AROUND // 2 + 1, AROUND // 2 + 1))
    rows, columns = slices.shape[1:]
    return NORMAL * coarse.repeat(2, axis=1)[:, :rows].repeat(2, axis=2)[:, :, :columns]


def answers(scan: Volume, rng: np.random.Generator) -> tuple[Volume, dict[str, Volume]]:
    """A truth, and what is held against it: the anatomy that it shows, and a second scan of that anatomy."""
    anatomy = slices_first(scan)
    strength = noise_hu(anatomy)

    def scanned() -> np.ndarray:
        return anatomy + strength * rng.standard_normal(anatomy.shape)

    def whole(slices: np.ndarray) -> Volume:
        voxels = np.rint(np.clip(slices, HU_MIN, HU_MAX)).astype(np.int16)
        return replace(scan, voxels=np.moveaxis(voxels, 0, scan.slice_array_axis))

    truth, second = whole(scanned()), whole(scanned())
    return truth, {"the anatomy": whole(anatomy), "a second scan": second}


def main() -> None:
    """Two lines for each scan and answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN")
    parser.add_argument("--factor", type=int, default=2, help="only slices that it would make new are judged")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for path in options.scans:
        _, scan = hold_out(read(path), options.factor, "gap")  # it ends on an acquired slice
        truth, held = answers(scan, rng)
        for answer, volume in held.items():
            figures = score(truth, volume, options.factor)
            for kind in ("bias", "region_bias"):
                biases = ((name, figures.get(f"{kind}_{name}_hu", float("nan"))) for name in TISSUES)
                told = " ".join(f"{name} {value:+.1f}" for name, value in biases)
                print(f"{Path(path).name}  {answer}, {kind}: {told}", flush=True)


if __name__ == "__main__":
    main()
