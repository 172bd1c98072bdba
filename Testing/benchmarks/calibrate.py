"""Calibrate a model anew on the cohort it learned from, as the end of its training does: the expected error alone.

    python Testing/benchmarks/calibrate.py COHORT MODEL.pt OUT.pt [--sources CSV]

For weights that were trained before the formula of the expected error was changed; weights and fusion stay as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from CTSliceSynthesisEngine.networks.checkpoint import load, save
from CTSliceSynthesisEngine.training.cache import ScanCache
from CTSliceSynthesisEngine.training.cohort import NO_HOLDOUT, survey
from CTSliceSynthesisEngine.training.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.training.sources import read_sources


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort")
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--sources", metavar="CSV")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as the training it belongs to
    model, sources = load(options.model), read_sources(options.sources) if options.sources else {}
    with tempfile.TemporaryDirectory() as cache:
        cohort = survey(Path(options.cohort), ScanCache(Path(cache)), sources, (NO_HOLDOUT,), say=print)
        learned = {scan["scan"] for scan in model.card["data"]}
        scans = [scan for scan in cohort.learned_from if scan.name in learned]
        if {scan.name for scan in scans} != learned:
            raise SystemExit(
                f"{options.cohort} lacks scans that {options.model} learned from: {', '.join(sorted(learned))}"
            )
        model.expected_error = fit_expected_error(model, scans, model.card["training"]["seed"])
    assert model.expected_error is not None
    model.card["expected_error"] = list(model.expected_error.coefficients)
    print(save(model, options.out), *(f"{c:.4f}" for c in model.expected_error.coefficients))


if __name__ == "__main__":
    main()
