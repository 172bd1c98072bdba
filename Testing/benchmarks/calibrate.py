"""Recalibrate the expected error of a model on its training cohort, as at the end of its training.

    python Testing/benchmarks/calibrate.py COHORT MODEL.pt OUT.pt [--sources CSV] [--leave-one-out]

Weights and fusion do not change; for the bundled model and its cohort, the result is the same file.
With --leave-one-out, each scan's errors are also predicted by a calibration on the other scans.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.stated_error import stated_error_figures
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.outputs import OUTPUTS
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.training.scans.cohort import NO_HOLDOUT, survey
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.training.scans.source_table import read_sources
from CTSliceSynthesisEngine.training.validation.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.training.validation.held_out_scans import factors, middle

WINDOW = (49, 256, 256)  # slices, rows and columns of a scan that is left out


def carried_over(model: Model, scans: list[TrainingScan], seed: int) -> None:
    """Print, for each scan, the accuracy of a calibration on all other scans."""
    for scan in scans:
        others = [other for other in scans if other is not scan]
        told = replace(model, expected_error=fit_expected_error(model, others, seed))
        for factor in factors(model, scan):
            thick, truth = hold_out(scan.volume(middle(scan, WINDOW)), factor, "gap")
            plan = make_plan(
                thick.grid,
                thick.voxels.dtype,
                SynthesisOptions(factor=factor, outputs=tuple(OUTPUTS), accept_isotropic=True),
                recipe=model.recipe,
            )
            result = synthesize(thick, plan, told)
            figures = stated_error_figures(truth, thick, result, factor)
            print(
                f"{scan.name} x{factor}", *(f"{name} {value}" for name, value in figures.items()), sep="  ", flush=True
            )


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort")
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--sources", metavar="CSV")
    parser.add_argument("--leave-one-out", action="store_true")
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
        seed = model.card["training"]["seed"]
        if options.leave_one_out:
            carried_over(model, scans, seed)
        model.expected_error = fit_expected_error(model, scans, seed)
    assert model.expected_error is not None
    model.card["expected_error"] = list(model.expected_error.coefficients)
    print(save(model, options.out), *(f"{c:.4f}" for c in model.expected_error.coefficients))


if __name__ == "__main__":
    main()
