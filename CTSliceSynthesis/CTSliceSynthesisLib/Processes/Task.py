"""One child process at a time, from start to outcome: what a run, a check and a training have in common.

    idle -> running -> idle, with an Outcome: succeeded, failed or canceled

What the child needs and says lies in a private folder, which is removed on every path. Nothing here opens a window.
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
"""A child that says nothing for so long hangs: it tells each slab of slices, and a slab takes seconds to minutes."""


@dataclass
class Job:
    """What is known of a process whose news are told as they come.

    Attributes:
        folder: private folder.
        worker: the child process.
        onProgress: called with each event "progress".
        onFinished: called once with the outcome.
        result: fields of the event "result".
        failure: message of the event "failed".
        remarks: sentences for the user.
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
        """Remember what an event tells, and pass on how far the child is."""
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
    """Follows a child process, and ends it. Subclasses start it and say what its end means.

    Args:
        silenceSeconds: a child that says nothing for so long is ended.
    """

    Error: type[TaskError] = TaskError
    """Raised where the child cannot be started."""

    endsWithScene = True
    """Whether what it makes belongs to the scene, and is of no use without it."""

    def __init__(self, silenceSeconds: float = SILENCE_SECONDS) -> None:
        self.silenceSeconds = silenceSeconds
        self._run: Job | None = None
        self._sceneTag: int | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)

    def _look(self, run) -> None:
        """Called again and again while the child works."""

    def _concluded(self, run, exitCode: int) -> Outcome:
        """What became of a child that has ended by itself."""
        raise NotImplementedError

    def _endings(self) -> tuple[str, str]:
        """What is said when the user has ended the child, and when the scene was closed."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End the child now, if there is one."""
        self._finish(lambda run: Outcome(CANCELED, self._endings()[0]))

    def _onSceneClose(self, caller, event) -> None:
        self._finish(lambda run: Outcome(CANCELED, self._endings()[1]))

    @property
    def isRunning(self) -> bool:
        return self._run is not None

    @property
    def childPid(self) -> int | None:
        """Process id of the child, None while idle."""
        return self._run.worker.pid if self._run else None

    @property
    def folder(self) -> Path | None:
        """The private folder, None while idle."""
        return self._run.folder if self._run else None

    def _begin(self, launch: Callable[[Path], Job]) -> None:
        """Start a child in a private folder.

        Args:
            launch: fills the folder and starts the child.

        Raises:
            TaskError: it cannot be started; nothing is left.
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
        """Follow timer, application and scene while a child runs: what they call lives as long as they do."""
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
        """For scripts: start the child, and wait for its end where asked to.

        Args:
            start: starts it; gets the callback for its end.
            onFinished: the script's own callback.
            waits: return when it has ended.

        Returns:
            The output; None without waiting.

        Raises:
            TaskError: it could not start; or, when waiting, it gave no result.
        """
        outcomes: list[Outcome] = []

        def finished(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if onFinished:
                onFinished(outcome)

        start(finished)
        if not waits:
            return None
        self.wait()
        if outcomes[0].status != SUCCEEDED:
            raise self.Error(outcomes[0])
        return outcomes[0].output

    def wait(self) -> None:
        """Return when the child has ended; the application stays alive meanwhile."""
        while self.isRunning:
            self.poll()
            slicer.app.processEvents()
            time.sleep(0.02)

    def poll(self) -> None:
        """Look what the child says, and whether it has ended. The timer calls this; so may a script that waits."""
        run = self._run
        if run is None:
            return
        exitCode = run.worker.exitCode  # before its news: what it said last is then among them
        for event in run.worker.news():
            run.note(event)
        trouble = self._trouble(run)
        if trouble:
            self._finish(lambda run: Outcome(FAILED, trouble))
        elif exitCode is not None:
            self._finish(lambda run: self._concluded(run, exitCode))
        else:
            self._look(run)

    def _trouble(self, run: Job) -> str:
        """Why a child that still runs must be ended; empty if it is well."""
        if run.worker.saysTooMuch:
            return _("The child process wrote output without end, and was stopped.")
        if run.worker.silentSeconds > self.silenceSeconds:
            return _("The child process has been silent for {seconds:.0f} s, and was stopped.").format(
                seconds=self.silenceSeconds
            )
        return ""

    def _finish(self, conclude: Callable[[Job], Outcome]) -> None:
        """The one way out: stop, conclude, clean up, tell."""
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
    """A new folder that nobody else can read."""
    return Path(tempfile.mkdtemp(prefix="CTSliceSynthesis-", dir=slicer.app.temporaryPath))


def roomProblems(needed: int, folder: str | Path) -> list[str]:
    """Why so many bytes cannot be handed over to a child; empty when they can."""
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return []
    return [
        _(
            "The run needs {needed:.1f} GB of disk space in {folder}, and {free:.1f} GB are free: make room first."
        ).format(needed=needed / 1e9, free=free / 1e9, folder=folder)
    ]


def engine(arguments: Sequence[str], folder: Path) -> Worker:
    """The engine's command line with these arguments, in a child process at work in a private folder."""
    code = MODULE_FOLDER / "CTSliceSynthesisLib" / "Processes" / "ChildProcess.py"
    return Worker([sys.executable, str(code), str(folder), *arguments], folder)


def endedWithoutResult(worker: Worker) -> Outcome:
    """The outcome of a child that ended and left nothing."""
    memory = _(" Often the memory has run out: close other programs, or take a smaller factor.")
    ended = _("The child process ended with {how}, without a result.{hint}")
    hint = memory if worker.wasKilled else ""
    return Outcome(FAILED, ended.format(how=howItEnded(worker.exitCode), hint=hint))
