"""A child process that reports events as JSON lines. Independent of Slicer and the engine.

Its output goes to files in the private folder, which are read as they grow: no pipe can fill up, no thread is needed, and
the last lines survive a crash. It leads its own process group, which is killed as a whole.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

KILLED = (-9, 137, 1)
"""Exit codes of a process killed by signal 9: from the process itself, from a shell, or from Slicer's launcher."""
LAST_WORDS = ("Traceback (most recent call last)", "Fatal Python error")
"""Log lines of a process that failed or crashed by itself; a killed process writes none."""
MOST_OUTPUT = 32 << 20
"""Limit of a process's output in bytes; a run writes a few thousand."""


class Worker:
    """One process, from start to end.

    Args:
        command: program and arguments.
        folder: private folder for its output; it must exist.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._events, self._log = folder / "events.jsonl", folder / "log.txt"
        self._offset, self._rest, self._garbage = 0, b"", list[str]()
        self._size, self._heard = 0, time.monotonic()
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        with self._events.open("wb") as events, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=events,
                stderr=log,
                env=environment,
                cwd=folder,
                **ownGroup(),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exitCode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def wasKilled(self) -> bool:
        """True if the system appears to have killed the process, usually because memory ran out."""
        log = self._end()
        failed = any(words in log for words in LAST_WORDS)
        return "bad_alloc" in log or (self.exitCode in KILLED and not failed)

    @property
    def silentSeconds(self) -> float:
        """Seconds since the last output."""
        return time.monotonic() - self._heard

    @property
    def saysTooMuch(self) -> bool:
        return self._size > MOST_OUTPUT

    def readEvents(self) -> list[dict[str, Any]]:
        """Return the events since the last call; lines that are not events are kept for the log."""
        size = sum(path.stat().st_size for path in (self._events, self._log))
        if size != self._size:
            self._size, self._heard = size, time.monotonic()
        if self.saysTooMuch:
            return []
        with self._events.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for event in map(self._event, lines) if event is not None]

    def _event(self, line: bytes) -> dict[str, Any] | None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            return event
        self._garbage = [*self._garbage, line[:300].decode("utf-8", "replace")][-20:]
        return None

    def lastWords(self, lines: int = 12) -> str:
        """Return the end of the log, for a message."""
        return "\n".join(line[:300] for line in [*self._garbage, *self._end().splitlines()][-lines:])

    def _end(self) -> str:
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - 32000))
            return file.read().decode("utf-8", "replace")

    def interrupt(self) -> None:
        """Ask the process to save its state and stop. It may take some seconds, or not react at all."""
        with suppress(OSError, ValueError):  # it has already ended
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def waitFor(self, seconds: float) -> bool:
        """Wait for the process to exit by itself; return False if it did not."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        return self.exitCode is not None

    def end(self) -> None:
        """Kill the process and its descendants; the caller removes their files."""
        endGroup(self._process)
        with suppress(subprocess.TimeoutExpired):  # blocked in a system call: it dies when the call returns
            self._process.wait(timeout=10)
        if self._process.stdin:
            self._process.stdin.close()


def ownGroup() -> dict[str, Any]:
    """Return Popen options that make the process the leader of its own group, without a console window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def endGroup(process: subprocess.Popen) -> None:
    """Kill a process and its descendants."""
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the group may outlive its leader


def howItEnded(exitCode: int) -> str:
    """Describe an exit code."""
    if exitCode < 0:
        try:
            return f"signal {signal.Signals(-exitCode).name}"
        except ValueError:
            return f"signal {-exitCode}"
    return f"exit code {exitCode}"
