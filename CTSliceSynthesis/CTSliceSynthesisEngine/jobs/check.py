"""The job "check": leave out slices of a scan, synthesize them, and compare them with the acquired ones."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from ..errors import SynthesisError
from ..evaluation.holdout import Comparison, compare, hold_out
from ..evaluation.worst_place import worst_place
from ..synthesis import pipeline
from ..synthesis.options import SynthesisOptions
from ..synthesis.plan import available_memory, check_memory, make_plan
from ..volume import files
from ..volume.thickness import estimate_thickness
from ..volume.volume import Volume
from .check_request import LEAST_SLICES, CheckRequest
from .evaluate import truth_from
from .events import Emit, EventReporter

FACTOR = 2
OURS = "three-view"


def check(request: CheckRequest, emit: Emit) -> dict[str, Any]:
    """Compare a model with the classical methods on a scan, inside the body, on the left-out slices.

    The gaps are twice as wide as those between the acquired slices, so the metrics are worse than those of a normal run.

    Args:
        request: the scan, the model and options.
        emit: receives the events "started", "remark", "progress" and "result".

    Returns:
        The fields of the result event: "methods" (name -> psnr_db, mae_hu, bias_hu, and bias_<tissue>_hu for each
        tissue present), "best" and "best_classical" by PSNR, "gain_db" of the model over the latter, "counted" slices,
        "gap_mm" (spacing of the remaining slices), and "worst" (ras, error_hu, slice_number).

    Raises:
        SynthesisError: see errors.REASONS.
    """
    from ..networks.checkpoint import load  # with PyTorch
    from ..synthesis.devices import choose_device

    model = load(request.model)
    reporter = EventReporter(emit)
    device = choose_device(request.device, reporter.say)
    truth = _scan(request)
    thick, truth = hold_out(truth, FACTOR, "gap")
    plan = make_plan(
        thick.grid,
        thick.voxels.dtype,
        SynthesisOptions(factor=FACTOR, accept_isotropic=True),
        recipe=model.recipe,
        estimated_thickness=None if thick.grid.thickness else estimate_thickness(thick),
    )
    check_memory(plan, available_memory())
    emit("started", job="check", slices=truth.grid.slice_count, gap_mm=thick.grid.slice_spacing)

    ours = pipeline.synthesize(thick, plan, model, device=device, reporter=reporter).volume
    comparison = compare(
        truth,
        FACTOR,
        "gap",
        {OURS: lambda thick: ours},
        lambda method, done, total: reporter.progress("score", done, total),
    )
    reporter.progress("score", len(comparison.rows), len(comparison.rows))
    fields = {"job": "check", **_metrics(comparison), "worst": asdict(worst_place(truth, ours, FACTOR))}
    fields |= {"model": model.name, "model_sha256": model.sha256}
    emit("result", **fields)
    return fields


def _scan(request: CheckRequest) -> Volume:
    reading: dict[str, Any] = {"series": request.series, "slice_axis": request.axis, "thickness": request.thickness}
    scan = files.open_scan(request.input, **reading)
    count = scan.header.grid.slice_count
    if count < LEAST_SLICES:
        message = f"A check leaves out every second slice and needs at least {LEAST_SLICES} slices, found {count}"
        raise SynthesisError("bad-input", f"{message}: check a longer scan.")
    return truth_from(scan, request.input)


def _metrics(comparison: Comparison) -> dict[str, Any]:
    rows = comparison.rows
    best = comparison.best("psnr_body_db")
    rival = comparison.best_classical("psnr_body_db")
    assert best is not None and rival is not None
    names = {"psnr_db": "psnr_body_db", "mae_hu": "mae_body_hu", "bias_hu": "mean_error_body_hu"}
    names |= {name: name for name in rows[OURS] if name.startswith("bias_")}
    return {
        "methods": {
            method: {name: _round(row.get(metric)) for name, metric in names.items()} for method, row in rows.items()
        },
        "best": best,
        "best_classical": rival,
        "gain_db": _round(rows[OURS]["psnr_body_db"] - rows[rival]["psnr_body_db"]),
        "counted": comparison.counted,
        "gap_mm": comparison.slice_spacing,
    }


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
