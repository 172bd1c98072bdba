"""What a run tells while it goes: one JSON object a line, of a fixed version. Torch-free.

    {"version": 1, "event": "started", "job": "increase", "factor": 2, "size": [512, 512, 201], ...}
    {"version": 1, "event": "remark", "sentence": "..."}
    {"version": 1, "event": "progress", "stage": "synthesize", "done": 8, "total": 100}
    {"version": 1, "event": "result", "output": "thin.nrrd", ...}
    {"version": 1, "event": "failed", "reason": "bad-input", "message": "..."}

The last line is always a result or a failure; a process that ends without either has crashed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

VERSION = 1

EVENTS = ("started", "remark", "progress", "result", "failed")

Emit = Callable[..., None]
"""Called as emit(event, **fields)."""


def line(event: str, **fields: Any) -> str:
    """One event as a line of JSON, without its line end; ASCII, so that no console's encoding can break it."""
    if event not in EVENTS:
        raise ValueError(f"unknown event {event!r}")
    return json.dumps({"version": VERSION, "event": event, **fields})


def emitter(stream: TextIO) -> Emit:
    """An Emit that writes lines to a stream and flushes each: the reader sees it at once."""

    def emit(event: str, **fields: Any) -> None:
        stream.write(line(event, **fields) + "\n")
        stream.flush()

    return emit
