"""The jobs "train" and "adapt": train on scans, and write weights, a model card and a report."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import REASONS, SynthesisError
from ..synthesis.devices import choose_device
from ..synthesis.run_time import speed_file
from ..training.optimization.training_loop import LoopSettings
from ..training.scans.cohort import NO_HOLDOUT, find
from ..training.scans.source_table import NOT_GIVEN, Source, read_sources
from ..training.train_cohort import Order, Outcome, train_cohort
from ..training.training_recipes import ADAPTED
from ..training.training_report import write_report
from ..volume.files import read_header
from .events import Emit

MINUTES = {"train": 60.0, "adapt": 3.0}


def train(options: argparse.Namespace, emit: Emit) -> int:
    """Run `ctslices train`; all possible checks come before the training.

    Returns:
        The exit status: that of "not-better" if the model was written but failed on a held-out scan.
    """
    order = replace(
        _order(options, emit),
        recipe=options.recipe,
        preset=options.preset,
        into=options.into,
        sources=read_sources(options.sources) if options.sources else {},
        holdout=tuple(options.holdout),
    )
    return _run(order, emit)


def adapt(options: argparse.Namespace, emit: Emit) -> int:
    """Run `ctslices adapt`.

    Returns:
        See `train`.
    """
    scans = find(Path(options.cohort))
    if len(scans) != 1:
        message = f"A model is adapted to one scan, and {options.cohort} holds {len(scans)}"
        raise SynthesisError("bad-input", f"{message}: give one volume file, or the folder of one DICOM series.")
    thickness = options.thickness
    if thickness is not None:
        read_header(scans[0].path, series=scans[0].series, thickness=thickness)  # raises if the thickness is impossible
    sources = {} if thickness is None else {scans[0].name: Source(scans[0].name, thickness, NOT_GIVEN, NOT_GIVEN)}
    order = replace(_order(options, emit), recipe=ADAPTED, sources=sources, holdout=(NO_HOLDOUT,), adapts=True)
    return _run(order, emit)


def _order(options: argparse.Namespace, emit: Emit) -> Order:
    """Return the part of the order that both commands share."""
    _check(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    minutes = options.minutes if options.minutes is not None else MINUTES[options.command]
    return Order(
        Path(options.cohort),
        Path(options.out),
        Path(options.cache) if options.cache else speed_file().parent / "scans",
        LoopSettings(minutes=None if options.steps else minutes, steps=options.steps, seed=options.seed),
        start=options.start,
        resume=options.resume,
        device=choose_device(options.device, lambda sentence: emit("remark", sentence=sentence)),
    )


def _check(options: argparse.Namespace) -> None:
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise SynthesisError("bad-option", f"Training takes more than 0 minutes, not {options.minutes:g}.")
    if options.steps is not None and options.steps < 1:
        raise SynthesisError("bad-option", f"Training takes at least 1 step, not {options.steps}.")
    if options.threads is not None and options.threads < 1:
        raise SynthesisError("bad-option", f"The number of threads must be at least 1, not {options.threads}.")
    if not 0 <= options.seed < 2**63:
        raise SynthesisError("bad-option", f"A seed must be from 0 to 2**63 - 1, not at {options.seed}.")
    if Path(options.out).suffix != ".pt":
        raise SynthesisError("bad-option", f"A model is a file that ends in .pt, not {options.out}: give such a name.")
    folder = Path(options.out).resolve().parent
    if not folder.is_dir():
        raise SynthesisError("cannot-write", f"The folder {folder} does not exist; make it first.")
    if Path(options.out).is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise SynthesisError("cannot-write", f"The model cannot be written to {options.out}: choose another place.")


def _run(order: Order, emit: Emit) -> int:
    """Train, and report events."""
    job = "adapt" if order.adapts else "train"
    emit("started", job=job, cohort=str(order.cohort), output=str(order.out))
    report = order.out.with_suffix(".report")

    def progress(stage: str, done: int, total: int) -> None:
        emit("progress", stage=stage, done=done, total=total)

    outcome = train_cohort(
        order,
        watch=lambda figures: emit("progress", **_figures(figures)),
        say=lambda sentence: emit("remark", sentence=sentence),
        progress=progress,
        finish=lambda outcome: write_report(report, outcome, order.device, progress),
    )
    if not outcome.model.sha256:
        return 0  # not rank 0, which writes the model and reports the result
    emit("remark", sentence=outcome.verdict.sentence)
    emit("result", job=job, report=str(report / "report.html"), **_facts(order, outcome))
    return REASONS["not-better"] if outcome.verdict.passed is False and not _torchrun_would_restart() else 0


def _torchrun_would_restart() -> bool:
    """True under a torchrun that would treat a non-zero status as a lost process and restart the training."""
    left = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    return left > int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _figures(figures: dict[str, float]) -> dict[str, Any]:
    """Return the loop's metrics as the fields of a progress event."""
    left, gain = figures["seconds_left"], figures.get("best_gain_db")
    return {
        "stage": "train",
        "done": int(1000 * figures["share"]),
        "total": 1000,
        "step": int(figures["step"]),
        "seconds_left": round(left, 1) if math.isfinite(left) else None,
        "waiting": round(figures["waiting"], 4),
        "losses": {name: round(value, 3) for name, value in figures.items() if name.startswith("loss_")},
        "gain_db": None if gain is None else round(gain, 3),
    }


def _facts(order: Order, outcome: Outcome) -> dict[str, Any]:
    return {
        "output": str(order.out),
        "sha256": outcome.model.sha256,
        "steps": outcome.state.steps,
        "seconds": round(outcome.state.seconds, 1),
        "passed": outcome.verdict.passed,
        "verdict": outcome.verdict.sentence,
    }
