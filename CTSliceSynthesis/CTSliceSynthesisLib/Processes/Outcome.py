"""How a child process ended, as data: decided in one place, told to scripts and panels alike."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"


@dataclass(frozen=True)
class Outcome:
    """How a run, a check or a training ended.

    Attributes:
        status: SUCCEEDED, FAILED or CANCELED.
        sentence: what happened, for the user.
        log: last lines of the child process, for a failure.
        output: what was asked for: a volume, the figures of a check, the name of a model; None without success.
        disagreement, expectedError: volumes in HU; None without success, or where not asked for.
        remarks: sentences that the user should see.
        seconds: how long it took.
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
    """A task that gave no result; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("\n\n".join(filter(None, (outcome.sentence, outcome.log))))
        self.outcome = outcome


def removeFolder(folder: Path) -> None:
    """Remove a private folder; Windows lets go of a killed process's files only after a moment."""
    for _attempt in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
