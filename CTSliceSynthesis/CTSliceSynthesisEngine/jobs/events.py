"""Events that a run reports: one JSON object per line, with a fixed version. Torch-free.

    {"version": 1, "event": "started", "job": "increase", "factor": 2, "size": [512, 512, 201], ...}
    {"version": 1, "event": "remark", "sentence": "..."}
    {"version": 1, "event": "progress", "stage": "synthesize", "done": 8, "total": 100}
    {"version": 1, "event": "result", "output": "thin.nrrd", ...}
    {"version": 1, "event": "failed", "reason": "bad-input", "message": "..."}

A training (`ctslices train --events`, `ctslices adapt --events`) has the job "train" or "adapt", a remark for each scan, and
additional fields in the progress of its stage "train" ("losses" are running means, in HU for errors; "gain_db" is the best
gain so far over cubic on the held-out scans; null if unknown):

    {"version": 1, "event": "progress", "stage": "train", "done": 118, "total": 1000, "step": 100, "seconds_left": 80.0,
     "waiting": 0.001, "losses": {"loss_axial": 21.1, "loss_total": 45.4}, "gain_db": 0.08}
    {"version": 1, "event": "result", "job": "train", "output": "mine.pt", "report": "mine.report/report.html",
     "passed": true, "verdict": "Passed: ...", "sha256": "...", "steps": 819, "seconds": 90.1}

For the results of the jobs "check" and "inspect", see check.py and inspect_model.py:

    {"version": 1, "event": "result", "job": "check", "methods": {"cubic": {"psnr_db": 25.9, "mae_hu": 114.4, "bias_hu": -0.4}},
     "best_classical": "linear", "gain_db": 1.34, "worst": {"ras": [-3.3, 242.2, 648.2], "error_hu": 132.0, ...}, ...}
    {"version": 1, "event": "result", "job": "inspect", "sha256": "...", "recipe": {...}, "card": {...}, "failure": null}

A sentence whose remedy is worded differently in the panel is also given in parts, see errors.Sentence:

    {"version": 1, "event": "failed", "reason": "device", "message": "The device cuda cannot be used (...): choose ...",
     "fact": "The device cuda cannot be used (...)", "remedy": "cpu"}

The last line is always a result or a failure; a process that ends without either has crashed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

from ..errors import Sentence

VERSION = 1

EVENTS = ("started", "remark", "progress", "result", "failed")

Emit = Callable[..., None]
"""Called as emit(event, **fields)."""


def line(event: str, **fields: Any) -> str:
    """Format an event as a line of JSON without newline, in ASCII, so that it is safe in any console encoding."""
    if event not in EVENTS:
        raise ValueError(f"unknown event {event!r}")
    for value in list(fields.values()):
        if isinstance(value, Sentence) and value.remedy:
            fields |= {"fact": value.fact, "remedy": value.remedy}
    return json.dumps({"version": VERSION, "event": event, **fields})


class EventReporter:
    """A `pipeline.Reporter` that emits events."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def progress(self, stage: str, done: int, total: int) -> None:
        """Emit a "progress" event."""
        self._emit("progress", stage=stage, done=done, total=total)

    def say(self, sentence: str) -> None:
        """Emit a "remark" event."""
        self._emit("remark", sentence=sentence)


def emitter(stream: TextIO) -> Emit:
    """Return an Emit that writes lines to a stream and flushes each one, so that readers see it immediately."""

    def emit(event: str, **fields: Any) -> None:
        stream.write(line(event, **fields) + "\n")
        stream.flush()

    return emit
