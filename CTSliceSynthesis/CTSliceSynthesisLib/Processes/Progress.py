"""Progress of a run, from the events of its child process and its estimated duration."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from slicer.i18n import tr as _

STARTING, WRITING = 0.04, 0.93
"""Positions of the progress bar at which slice synthesis begins and ends."""
CREEP = 0.7
"""Fraction of the remaining stage that the bar may advance without new events."""


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        share: 0 to 1; never decreases.
        stage: current activity, as a message for the user.
        remainingSeconds: None while unknown.
    """

    share: float
    stage: str
    remainingSeconds: float | None = None


class Tracker:
    """Tracks the progress of one run.

    Args:
        estimatedSeconds: expected duration, from the plan.
    """

    def __init__(self, estimatedSeconds: float) -> None:
        self._estimated = max(estimatedSeconds, 1.0)
        self._stage, self._share, self._shown = _("Starting"), 0.0, 0.0
        self._updatedAt = self._began = time.monotonic()

    def update(self, stage: str, done, total) -> None:
        """Record a "progress" event of the child: `done` of `total` parts of a stage are finished."""
        try:
            part = min(max(float(done) / float(total), 0.0), 1.0)
        except (TypeError, ValueError, ZeroDivisionError):
            return
        now = time.monotonic()
        if stage == "write":
            self._stage, share = _("Checking the result"), WRITING + part * (1 - WRITING) * 0.8
        else:
            if self._share < STARTING:
                self._began = now
            self._stage, share = _("Making slices"), STARTING + part * (WRITING - STARTING)
        self._share, self._updatedAt = max(self._share, share), now

    def now(self) -> Progress:
        """Return the current progress. Between two events it advances ever more slowly, never past the end of the stage."""
        now = time.monotonic()
        end = STARTING if self._share < STARTING else WRITING if self._share < WRITING else 1.0
        expected = max(self._estimated * (end - self._share), 1.0)
        advanced = CREEP * (end - self._share) * (1 - math.exp(-(now - self._updatedAt) / expected))
        self._shown = max(self._shown, self._share + advanced)
        return Progress(self._shown, self._stage, self._remaining(now))

    def _remaining(self, now: float) -> float | None:
        if self._shown <= STARTING:
            return self._estimated
        done = (self._shown - STARTING) / (1 - STARTING)
        return (now - self._began) * (1 - done) / done if done > 0.03 else self._estimated
