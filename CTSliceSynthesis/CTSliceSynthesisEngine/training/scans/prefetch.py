"""Draws batches ahead in a thread, so that the optimizer does not wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

_AHEAD = 4


class Feeder:
    """Context manager that draws the batch of each step a few steps ahead.

    Args:
        draw: called with the number of a step; its result must depend only on that.
        first: number of the first step.
    """

    def __init__(self, draw: Callable[[int], Any], first: int) -> None:
        self.waited = 0.0
        """Total seconds that `next` has waited for batches."""
        self._draw = draw
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._fill, args=(first,), daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def next(self) -> Any:
        """Return the batch of the next step; an error in the thread is raised here."""
        start = time.perf_counter()
        while True:
            try:
                batch = self._queue.get(timeout=1)
                break
            except queue.Empty:
                if not self._thread.is_alive():
                    raise self._failure or RuntimeError("the thread that draws crops has stopped") from None
        self.waited += time.perf_counter() - start
        return batch

    def _fill(self, step: int) -> None:
        try:
            while not self._stopped.is_set():
                batch = self._draw(step)
                while not self._stopped.is_set():
                    try:
                        self._queue.put(batch, timeout=0.2)
                        break
                    except queue.Full:
                        continue
                step += 1
        except Exception as failure:
            self._failure = failure
