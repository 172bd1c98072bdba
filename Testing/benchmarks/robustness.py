"""Runs `ctslices increase` on damaged and unusual scans, and evaluates how each run ends.

    python Testing/benchmarks/robustness.py [--images 300] [--sets 100] [--seed 0] [--out robustness.json]

A run passes if it takes less than 30 seconds and 2 GB, ends without a signal or a traceback, and either refuses the scan in one
sentence or writes a result, leaving nothing else behind. Where the correct answer is known, the acquired slices of the result
must equal those of the scan, and their positions must be right to 1e-4 mm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from robustness_cases import EITHER, ORIGIN, REFUSED, RIGHT, SPACING, VOXELS, Case, damaged_images, image_cases
from robustness_dicom import damaged_sets, sets

SECONDS = 30
BYTES = 2e9
OWN_STATUSES = {2, 3, 4, 5, 6, 7, 8, 9, 13}


def cases(images: int, folders: int, seed: int) -> Iterator[Case]:
    """Return all cases."""
    return chain(image_cases(), sets(), damaged_images(images, seed), damaged_sets(folders, seed))


def run(case: Case) -> dict[str, Any]:
    """Run one case; return what happened, with the defect under "wrong" ("" if there is none)."""
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "in", Path(place) / "out"
        source.mkdir(), out.mkdir()
        given = case.make(source)
        command = ["increase", str(given), str(out / "thin.nrrd"), "--method", "cubic", "--factor", "2"]
        start, before = time.monotonic(), peak_of_children()
        process = subprocess.Popen(
            [sys.executable, "-m", "CTSliceSynthesisEngine", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            said = process.communicate(timeout=SECONDS)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            said = ""
        peak = peak_of_children() if peak_of_children() > before else 0.0  # of an earlier case otherwise
        found = {"case": case.name, "status": process.returncode, "seconds": round(time.monotonic() - start, 2)}
        found |= {"said": said.strip().splitlines()[-1][:300] if said.strip() else "", "wrong": ""}
        found["wrong"] = wrong(case, process.returncode, said, out, peak)
        return found


def peak_of_children() -> float:
    """Return the peak memory in bytes of the largest child so far; 0 where the system does not report it."""
    try:
        import resource
    except ModuleNotFoundError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0


def wrong(case: Case, status: int, said: str, out: Path, peak: float) -> str:
    """Return what is wrong with the way a run ended; "" if nothing is."""
    left = sorted(path.name for path in out.iterdir())
    sentences = [line for line in said.splitlines() if line.startswith("ctslices:")]
    if status < 0:
        return f"ended by signal {-status}, or too slow"
    if "Traceback" in said or (status and status not in OWN_STATUSES):
        return "no message of the program"
    if peak > BYTES:
        return f"{peak / 1e9:.1f} GB"
    if status and (left or len(sentences) != 1):
        return f"left {left}, printed {len(sentences)} messages"
    if status:
        return "" if case.expected != RIGHT else "refused a valid scan"
    if left != ["thin.nrrd"]:
        return f"left {left}"
    if case.expected == REFUSED:
        return "made a result of an invalid scan"
    return differences(out / "thin.nrrd") if case.expected in (RIGHT, EITHER) else ""


def differences(result: Path) -> str:
    """Return how the acquired slices of a result differ from the scan; "" if they do not."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(result))
    acquired = sitk.GetArrayFromImage(image)[::2]
    if acquired.shape != VOXELS.shape or not np.array_equal(acquired, VOXELS):
        return "wrong voxels"
    place = (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection())
    true = (*ORIGIN, *SPACING[:2], SPACING[2] / 2, *np.eye(3).ravel())
    off = float(np.abs(np.subtract(place, true)).max())
    return f"wrong position by {off:.2g} mm" if off > 1e-4 else ""


def main() -> int:
    """Run all cases; the exit status is 0 if all passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300, help="number of image files with random damage")
    parser.add_argument("--sets", type=int, default=100, help="number of DICOM folders with random damage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file with one entry per case")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2] / "CTSliceSynthesis")
    rows = [run(case) for case in cases(options.images, options.sets, options.seed)]
    for row in rows:
        if row["wrong"]:
            print(f"{row['case']}: {row['wrong']} (status {row['status']}, {row['seconds']} s): {row['said']}")
    ends = Counter("made" if row["status"] == 0 else "refused" for row in rows if not row["wrong"])
    bad = sum(bool(row["wrong"]) for row in rows)
    print(f"{len(rows)} cases: {ends['refused']} refused, {ends['made']} made, {bad} wrong; "
          f"at most {max(row['seconds'] for row in rows)} s and {peak_of_children() / 1e9:.2f} GB")  # fmt: skip
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1, ensure_ascii=True))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
