"""Progress bars in a terminal, one for each stage."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import Any


def _tqdm() -> Any:
    """Return tqdm's class; None if it is missing, as inside Slicer."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return None
    return tqdm


def _note(fields: Mapping[str, Any]) -> str:
    """Return the text after a training's bar: step, remaining time, gain and losses; empty for other stages."""
    if "losses" not in fields:
        return ""
    left, gain = fields.get("seconds_left"), fields.get("gain_db")
    parts = [f"step {fields['step']}", f"{left / 60:.1f} min left" if left is not None else ""]
    parts += [f"gain {gain:+.2f} dB" if gain is not None else ""]
    parts += [f"{name.removeprefix('loss_')} {value:.1f}" for name, value in fields["losses"].items()]
    return ", ".join(filter(None, parts))


class Bars:
    """Context manager that shows events as progress bars and messages on standard error.

    tqdm draws the bars. If it is missing (inside Slicer), only messages are shown.
    """

    def __init__(self) -> None:
        self._make = _tqdm()
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
            self.progress(fields["stage"], fields["done"], fields["total"], _note(fields))
        elif event == "remark":
            self.say(fields["sentence"])
        elif event == "result" and "sha256" in fields:
            self.say(f"{fields['output']}: SHA-256 {fields['sha256']}")

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        if self._bar is not None:
            self._bar.clear()
        print(sentence, file=sys.stderr)

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Update the bar of a stage; a new stage gets a new bar."""
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


class Board:
    """One bar for all scans, and one for each scan in progress; thread-safe.

    Args:
        total: number of scans.
        done: number of scans that are already finished.
    """

    def __init__(self, total: int, done: int) -> None:
        self._lock, self._bars = Lock(), dict[str, Any]()
        self._make = _tqdm()
        form = "{desc:<24}{n_fmt:>5}/{total_fmt} |{bar:30}| {elapsed}<{remaining}"
        self._all = (
            self._make(total=total, initial=done, desc="scans", bar_format=form, file=sys.stderr)
            if self._make
            else None
        )

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in [*self._bars.values(), *([self._all] if self._all is not None else [])]:
            bar.close()

    def show(self, label: str, stage: str, done: int, total: int) -> None:
        """Update the bar of one scan."""
        if self._make is None:
            return
        with self._lock:
            if label not in self._bars:
                form = "  {desc:<22}{percentage:3.0f}% |{bar:30}| {elapsed}<{remaining} {postfix}"
                self._bars[label] = self._make(
                    total=total, desc=label[:22], bar_format=form, leave=False, file=sys.stderr
                )
            bar = self._bars[label]
            bar.total = total
            bar.set_postfix_str(stage, refresh=False)
            bar.update(done - bar.n)

    def finish(self, label: str) -> None:
        """Remove the bar of a finished scan."""
        with self._lock:
            bar = self._bars.pop(label, None)
            if bar is not None:
                bar.close()
            if self._all is not None:
                self._all.update(1)
