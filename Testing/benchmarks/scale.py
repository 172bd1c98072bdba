"""Time and memory by number of slices.

    python Testing/benchmarks/scale.py [--depths 100 200 400 800] [--runs 5] [--out scale.json]

Time: synthesis only, depths in turn, medians; "of linear" is the time per gap relative to the first depth.
Memory: peak of the whole `ctslices increase` process, files included, and the size of input and output.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.files import write
from subjects import median, scan, seconds, table

FACTOR = 2

_PEAK_OF_A_RUN = """
import resource, sys
from CTSliceSynthesisEngine.jobs.commands import main
status = main(sys.argv[1:])
try:  # Linux: the peak since the program started; what getrusage tells there includes its parent before the start
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak)
sys.exit(status)
"""


def times(depths: list[int], size: int, runs: int) -> dict[int, float]:
    """Return the median seconds of the synthesis at each depth; depths alternate, so that a slow minute affects all of them."""
    model = load("compact")
    spent: dict[int, list[float]] = {depth: [] for depth in depths}
    for _ in range(runs):
        for depth in depths:
            volume = scan(depth, size)
            plan = make_plan(volume.grid, volume.voxels.dtype, SynthesisOptions(factor=FACTOR), recipe=model.recipe)
            spent[depth].append(seconds(lambda volume=volume, plan=plan: synthesize(volume, plan, model)))
    return {depth: median(values) for depth, values in spent.items()}


def peak_gb(depth: int, size: int) -> float:
    """Return the peak resident memory of the whole `ctslices increase` process in GB."""
    with tempfile.TemporaryDirectory() as folder:
        write(scan(depth, size), f"{folder}/thick.nrrd")
        run = subprocess.run(
            [sys.executable, "-c", _PEAK_OF_A_RUN, "increase", "thick.nrrd", "thin.nrrd", "--factor", str(FACTOR)],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    return int(run.stdout.split()[-1]) / 1e9


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[100, 200, 400, 800])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    spent = times(options.depths, options.size, options.runs)
    per_gap = {depth: value / (depth - 1) for depth, value in spent.items()}
    rows = []
    for depth in options.depths:
        files_gb = 2 * options.size**2 * (depth + (depth - 1) * FACTOR + 1) / 1e9
        peak = peak_gb(depth, options.size)
        rows.append(
            {
                "slices": depth,
                "s": spent[depth],
                "of linear": round(per_gap[depth] / per_gap[options.depths[0]], 2),
                "peak GB": round(peak, 2),
                "input + output GB": round(files_gb, 2),
                "beside them GB": round(peak - files_gb, 2),
            }
        )
    print(table(rows))
    if options.out:
        options.out.write_text(json.dumps({"factor": FACTOR, "runs": options.runs, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
