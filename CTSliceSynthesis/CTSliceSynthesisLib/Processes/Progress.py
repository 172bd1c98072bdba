"""How far a run is, from what its child tells and from how long it should take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from slicer.i18n import tr as _

STARTING, WRITING = 0.04, 0.93
"""Shares of the bar at which the slices begin, and end."""
CREEP = 0.7
"""How far towards the end of a stage the bar may creep without news."""


@dataclass(frozen=True)
class Progress:
    """For a bar.

    Attributes:
        share: 0 to 1; never goes back.
        stage: what is being done, for the user.
        remainingSeconds: None while unknown.
    """

    share: float
    stage: str
    remainingSeconds: float | None = None


class Tracker:
    """Follows one run.

    Args:
        estimatedSeconds: how long the run should take, from the plan.
    """

    def __init__(self, estimatedSeconds: float) -> None:
        self._estimated = max(estimatedSeconds, 1.0)
        self._stage, self._share, self._shown = _("Starting"), 0.0, 0.0
        self._told = self._began = time.monotonic()

    def tell(self, stage: str, done, total) -> None:
        """An event of the child: so many of so many parts of a stage are done."""
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
        self._share, self._told = max(self._share, share), now

    def now(self) -> Progress:
        """The bar at this moment. Between two events it creeps on, ever more slowly, and never past the stage's end."""
        now = time.monotonic()
        end = STARTING if self._share < STARTING else WRITING if self._share < WRITING else 1.0
        expected = max(self._estimated * (end - self._share), 1.0)
        crept = CREEP * (end - self._share) * (1 - math.exp(-(now - self._told) / expected))
        self._shown = max(self._shown, self._share + crept)
        return Progress(self._shown, self._stage, self._remaining(now))

    def _remaining(self, now: float) -> float | None:
        if self._shown <= STARTING:
            return self._estimated
        done = (self._shown - STARTING) / (1 - STARTING)
        return (now - self._began) * (1 - done) / done if done > 0.03 else self._estimated
