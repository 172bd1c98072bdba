"""Base class of runs, checks, trainings and exports: manages one child process at a time, from start to outcome.

    idle -> running -> idle, with an Outcome: succeeded, failed or canceled

The child's input and output are in a private folder, which is always removed at the end. Nothing here opens a window.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import qt
import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from slicer.i18n import tr as _

from .. import Messages
from .Outcome import CANCELED, FAILED, SUCCEEDED, Outcome, TaskError, removeFolder
from .Worker import Worker, howItEnded

MODULE_FOLDER = Path(__file__).parents[2]
POLL_MILLISECONDS = 100
SILENCE_SECONDS = 900
"""A child without output for this long has hung: it reports each slab of slices, which takes seconds to minutes."""


@dataclass
class Job:
    """State of a child process and its callbacks.

    Attributes:
        folder: private folder.
        worker: the child process.
        onProgress: called with each "progress" event.
        onFinished: called exactly once with the outcome.
        result: fields of the "result" event.
        failure: message of the "failed" event.
        remarks: messages for the user.
    """

    folder: Path
    worker: Worker
    onProgress: Callable[[dict], None]
    onFinished: Callable[[Outcome], None]
    started: float = field(default_factory=time.monotonic)
    result: dict | None = None
    failure: str = ""
    remarks: list[str] = field(default_factory=list)

    def note(self, event: dict) -> None:
        """Record an event, and forward progress to the callback."""
        kind = event["event"]
        if kind == "progress":
            self.onProgress(event)
        elif kind == "remark":
            self.remarks.append(Messages.ofEvent(event, "sentence"))
        elif kind == "failed":
            self.failure = Messages.ofEvent(event, "message")
        elif kind == "result":
            self.result = event


class Task:
    """Monitors and ends a child process. Subclasses start it and interpret its result.

    Args:
        silenceSeconds: a child without output for this long is killed.
    """

    Error: type[TaskError] = TaskError
    """Raised if the child cannot be started."""

    endsWithScene = True
    """Whether the result belongs to the scene, so that closing the scene ends the task."""

    def __init__(self, silenceSeconds: float = SILENCE_SECONDS) -> None:
        self.silenceSeconds = silenceSeconds
        self._run: Job | None = None
        self._sceneTag: int | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)

    def _onPoll(self, run) -> None:
        """Called periodically while the child runs."""

    def _outcomeOf(self, run, exitCode: int) -> Outcome:
        """Return the outcome of a child that has exited by itself."""
        raise NotImplementedError

    def _cancelMessages(self) -> tuple[str, str]:
        """Return the messages for cancellation by the user and by closing the scene."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Kill the child, if there is one."""
        self._finish(lambda run: Outcome(CANCELED, self._cancelMessages()[0]))

    def _onSceneClose(self, caller, event) -> None:
        self._finish(lambda run: Outcome(CANCELED, self._cancelMessages()[1]))

    @property
    def isRunning(self) -> bool:
        return self._run is not None

    @property
    def childPid(self) -> int | None:
        """Process id of the child; None while idle."""
        return self._run.worker.pid if self._run else None

    @property
    def folder(self) -> Path | None:
        """The private folder; None while idle."""
        return self._run.folder if self._run else None

    def _begin(self, launch: Callable[[Path], Job]) -> None:
        """Start a child in a private folder.

        Args:
            launch: writes the input to the folder and starts the child.

        Raises:
            TaskError: the child cannot be started; nothing is left behind.
        """
        folder = privateFolder()
        try:
            self._run = launch(folder)
        except (OSError, SynthesisError) as error:
            removeFolder(folder)
            sentence = _("The run could not be started: {error}.").format(error=error)
            raise self.Error(Outcome(FAILED, sentence)) from error
        except BaseException:
            removeFolder(folder)
            raise
        self._listen()
        self._timer.start()

    def _listen(self) -> None:
        """Connect to timer, application and scene. Only while a child runs, because each connection keeps this object alive."""
        self._timer.connect("timeout()", self.poll)
        slicer.app.connect("aboutToQuit()", self.cancel)
        if self.endsWithScene:
            self._sceneTag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneClose)

    def _stopListening(self) -> None:
        self._timer.stop()
        self._timer.disconnect("timeout()", self.poll)
        slicer.app.disconnect("aboutToQuit()", self.cancel)
        if self.endsWithScene:
            slicer.mrmlScene.RemoveObserver(self._sceneTag)

    def carryOut(self, start: Callable, onFinished: Callable[[Outcome], None] | None, waits: bool):
        """Start the child and optionally wait for it (for scripts).

        Args:
            start: starts the child; is passed the callback for its end.
            onFinished: the script's callback.
            waits: block until the child has ended.

        Returns:
            The output; None without waiting.

        Raises:
            TaskError: the child could not start, or (when waiting) it ended without a result.
        """
        outcomes: list[Outcome] = []

        def onEnd(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if onFinished:
                onFinished(outcome)

        start(onEnd)
        if not waits:
            return None
        self.wait()
        if outcomes[0].status != SUCCEEDED:
            raise self.Error(outcomes[0])
        return outcomes[0].output

    def wait(self) -> None:
        """Block until the child has ended, while processing application events."""
        while self.isRunning:
            self.poll()
            slicer.app.processEvents()
            time.sleep(0.02)

    def poll(self) -> None:
        """Process new events of the child and check whether it has ended. Called by the timer and by waiting scripts."""
        run = self._run
        if run is None:
            return
        exitCode = run.worker.exitCode  # queried before reading events, so that the last ones are included
        for event in run.worker.readEvents():
            run.note(event)
        reason = self._killReason(run)
        if reason:
            self._finish(lambda run: Outcome(FAILED, reason))
        elif exitCode is not None:
            self._finish(lambda run: self._outcomeOf(run, exitCode))
        else:
            self._onPoll(run)

    def _killReason(self, run: Job) -> str:
        """Return the reason why a running child must be killed; empty if there is none."""
        if run.worker.saysTooMuch:
            return _("The child process wrote output without end, and was stopped.")
        if run.worker.silentSeconds > self.silenceSeconds:
            return _("The child process has been silent for {seconds:.0f} s, and was stopped.").format(
                seconds=self.silenceSeconds
            )
        return ""

    def _finish(self, conclude: Callable[[Job], Outcome]) -> None:
        """End the task, on every path: stop the child, determine the outcome, clean up, and report."""
        run, self._run = self._run, None
        if run is None:
            return
        self._stopListening()
        try:
            run.worker.end()
            outcome = conclude(run)
            if outcome.status == FAILED and not outcome.log:
                outcome = replace(outcome, log=run.worker.lastWords())
        finally:
            removeFolder(run.folder)
        seconds = time.monotonic() - run.started
        run.onFinished(replace(outcome, remarks=tuple(run.remarks), seconds=seconds))


def privateFolder() -> Path:
    """Create a folder that only this user can read."""
    return Path(tempfile.mkdtemp(prefix="CTSliceSynthesis-", dir=slicer.app.temporaryPath))


def diskSpaceProblems(needed: int, folder: str | Path) -> list[str]:
    """Return the reason why `needed` bytes do not fit on the disk of `folder`; empty if they do."""
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return []
    return [
        _(
            "The run needs {needed:.1f} GB of disk space in {folder}, and {free:.1f} GB are free: make room first."
        ).format(needed=needed / 1e9, free=free / 1e9, folder=folder)
    ]


def engine(arguments: Sequence[str], folder: Path) -> Worker:
    """Start the engine's command line with these arguments, in a child process whose working directory is `folder`."""
    code = MODULE_FOLDER / "CTSliceSynthesisLib" / "Processes" / "ChildProcess.py"
    return Worker([sys.executable, str(code), str(folder), *arguments], folder)


def endedWithoutResult(worker: Worker) -> Outcome:
    """Return the outcome of a child that ended without a result."""
    memory = _(" Often the memory has run out: close other programs, or choose a smaller factor.")
    message = _("The child process ended with {how}, without a result.{hint}")
    hint = memory if worker.wasKilled else ""
    return Outcome(FAILED, message.format(how=howItEnded(worker.exitCode), hint=hint))
