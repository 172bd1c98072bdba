"""Outcome of a child process, as reported to scripts and panels."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run, a check, a training or an export.

    Attributes:
        status: SUCCEEDED, FAILED or CANCELED.
        sentence: what happened, as a message for the user.
        log: last lines of the child process's log, after a failure.
        output: the result: a volume, the metrics of a check, the name of a model; None without success.
        disagreement, expectedError: volumes in HU; None without success, or if not requested.
        remarks: sentences that the user should see.
        seconds: elapsed time.
    """

    status: str
    sentence: str
    log: str = ""
    output: object | None = None
    disagreement: object | None = None
    expectedError: object | None = None
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0


class TaskError(RuntimeError):
    """A task ended without a result; `outcome` gives the reason."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("\n\n".join(filter(None, (outcome.sentence, outcome.log))))
        self.outcome = outcome


def removeFolder(folder: Path) -> None:
    """Remove a private folder; Windows releases the files of a killed process only after a moment."""
    for _attempt in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
