"""Start-up time, and how well `info` predicts the run time.

    python Testing/benchmarks/startup.py [--runs 5] [--out startup.json]

Whole processes, in turn, medians: `import torch` alone; a worker until it has read a small scan and its model and is about
to compute its first gap; `ctslices --help` and `ctslices info`, which do not import PyTorch. Then the time that `info` predicts
for a scan and the time that `ctslices increase` takes, files included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest, to_json
from CTSliceSynthesisEngine.volume.files import write
from subjects import median, scan, seconds, table

CTSLICES = [sys.executable, "-m", "CTSliceSynthesisEngine"]


def run(*command: str) -> str:
    """Run a command that must succeed and return its output."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def until_ready(request: Path) -> None:
    """Start a worker and stop it when it reports its first gap."""
    with subprocess.Popen([*CTSLICES, "run", str(request)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        while '"synthesize"' not in (line := worker.stdout.readline()):
            assert line, "the worker ended before it computed"
        worker.kill()


def starts(folder: Path, runs: int) -> list[dict[str, object]]:
    """Return the median seconds of each kind of start."""
    small = folder / "small.nrrd"
    write(scan(12, 64), small)
    request = folder / "request.json"
    request.write_text(to_json(IncreaseRequest(str(small), str(folder / "out.nrrd"))))
    kinds = {
        "import torch": lambda: run(sys.executable, "-c", "import torch"),
        "worker ready": lambda: until_ready(request),
        "ctslices --help": lambda: run(*CTSLICES, "--help"),
        "ctslices info": lambda: run(*CTSLICES, "info", str(small)),
    }
    spent: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(runs + 1):
        for kind, start in kinds.items():
            spent[kind].append(seconds(start))
    medians = {kind: median(values[1:]) for kind, values in spent.items()}
    return [
        {"start": kind, "s": value, "of import torch": round(value / medians["import torch"], 2)}
        for kind, value in medians.items()
    ]


def predictions(folder: Path) -> list[dict[str, object]]:
    """Return predicted and measured times."""
    rows = []
    for depth, size, factor in ((30, 512, 2), (100, 512, 2), (30, 512, 5), (60, 256, 4)):
        thick = folder / "thick.nrrd"
        write(scan(depth, size), thick, overwrite=True)
        told = json.loads(run(*CTSLICES, "info", str(thick), "--json"))["factors"][factor - 2]["estimated_seconds"]
        increase = [
            *CTSLICES,
            "increase",
            str(thick),
            str(folder / "thin.nrrd"),
            "--factor",
            str(factor),
            "--overwrite",
        ]
        true = seconds(lambda increase=increase: run(*increase))
        job = f"{size} x {size} x {depth}, x{factor}"
        rows.append({"job": job, "foretold s": told, "true s": round(true, 1), "ratio": round(told / true, 2)})
    return rows


def main() -> None:
    """Print tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tables = {"starts": starts(Path(name), options.runs), "foretold": predictions(Path(name))}
    print(*map(table, tables.values()), sep="\n\n")
    if options.out:
        options.out.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
