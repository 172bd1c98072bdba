"""Progress bars in a terminal, one for each stage."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Bars:
    """Shows events as bars and sentences on standard error; use as a context.

    tqdm draws the bars. Where it is missing (inside Slicer), only sentences are shown.
    """

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            self._make: Any = None
        else:
            self._make = tqdm
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def emit(self, event: str, **fields: Any) -> None:
        """An `events.Emit`: progress moves the bar of its stage, remarks are printed."""
        if event == "progress":
            self.progress(fields["stage"], fields["done"], fields["total"])
        elif event == "remark":
            self.say(fields["sentence"])

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        if self._bar is not None:
            self._bar.clear()
        print(sentence, file=sys.stderr)

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage, a new one for a new stage."""
        if self._make is None:
            return
        if stage != self._stage:
            self._close()
            form = "{desc:<14}{percentage:3.0f}%|{bar:30}| {elapsed}<{remaining} {postfix}"
            self._bar, self._stage = self._make(total=total, desc=stage, bar_format=form, file=sys.stderr), stage
        self._bar.total = total
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, ""
