"""Trains a model in a child process, in the background; a training can be stopped and resumed.

models/mine/training.json   arguments of the training, for resuming; removed at the end
models/mine/scans, cache    training volumes of the scene, and preprocessed scans; removed at the end
models/mine/mine.pt.state   training state, at most a minute old
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import qt
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from CTSliceSynthesisEngine.whole_file import write_whole
from slicer.i18n import tr as _

from ..Setup import ModelFolder, Models, Requirements
from . import TrainingScans
from .Outcome import CANCELED, FAILED, SUCCEEDED, Outcome, TaskError, removeFolder
from .Task import Job, Task, diskSpaceProblems, endedWithoutResult, engine

ORDER = "training.json"
VERSION = 1
SILENCE_SECONDS = 3600
"""Evaluating a large scan on a slow computer takes long and reports no progress."""
GRACE_SECONDS = 20
"""Time for a child that was asked to stop to write its state; after that it is killed."""
SCRATCH = "scratch"
"""Start value for random initialization instead of a model."""
RECIPES = ("auto", "anchored", "dense")


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        name: name of the model; None if it failed validation and was not added to the models.
        passed: True if it beats the best classical method on every held-out scan; None if it was not evaluated.
        verdict: the same as a sentence.
        report: HTML page with curves, metrics and images.
    """

    name: str | None
    passed: bool | None
    verdict: str
    report: Path


@dataclass
class TrainingJob(Job):
    """State of the current training.

    Attributes:
        place: folder of the model.
        name: name of the new model.
        isStopping: it was asked to stop.
    """

    place: Path = Path()
    name: str = ""
    isStopping: bool = False


def unfinished() -> list[str]:
    """Return the names of trainings that can be resumed, most recent first."""
    orders = [path for path in ModelFolder.folder().glob(f"*/{ORDER}") if orderIn(path) is not None]
    return [path.parent.name for path in sorted(orders, key=lambda path: path.stat().st_mtime, reverse=True)]


def orderIn(path: Path) -> dict[str, Any] | None:
    """Read the order of a training; return None if the file is invalid."""
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        right = order["version"] == VERSION and all(isinstance(word, str) for word in order["arguments"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return order if right else None


class Training(Task):
    """Starts, monitors and stops trainings. See Task.

    Attributes:
        curve: learning curve of the last training: "step", "losses" and "gain_db" of each point.
    """

    endsWithScene = False

    def __init__(self) -> None:
        super().__init__(SILENCE_SECONDS)
        self.curve: list[dict] = []
        self._deadline = qt.QTimer()
        self._deadline.setSingleShot(True)

    def train(
        self,
        scans: str | Path | Sequence,
        name: str = "mine",
        recipe: str = "auto",
        minutes: float | None = None,
        steps: int | None = None,
        start: str = SCRATCH,
        preset: str = "compact",
        device: str = "auto",
        onProgress: Callable[[dict], None] = lambda event: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> str:
        """Start training a model. Unless this raises, `onFinished` is called exactly once, however the training ends.

        Args:
            scans: a folder of scans, or volume nodes.
            name: name of the new model; a number is appended if it is taken.
            recipe: "auto", "anchored" or "dense".
            minutes: duration; an hour if neither this nor `steps` is given.
            steps: instead of minutes.
            start: "scratch", or the name of a model to fine-tune.
            preset: size of the networks, when starting from scratch.
            device: "auto", "cpu", "cuda", "cuda:n" or "mps".
            onProgress: called with the engine's "progress" events.
            onFinished: called with the outcome, whose output is a Trained.

        Returns:
            The name of the new model.

        Raises:
            TaskError: the training cannot start; nothing has changed.
        """
        isFolder = isinstance(scans, (str, Path))
        reasons = TrainingScans.folderProblems(Path(scans)) if isFolder else volumeProblems(scans)
        options = ["--recipe", recipe, "--preset", preset, "--from", weights(start), *durationArguments(minutes, steps)]

        def arguments(place: Path) -> list[str]:
            cohort = [str(Path(scans).resolve())] if isFolder else TrainingScans.writeForChild(scans, place)
            return ["train", *cohort, *options, "--device", device]

        return self._start(name, arguments, [*reasons, *modelProblems(start)], onProgress, onFinished)

    def adapt(
        self,
        node,
        minutes: float | None = None,
        steps: int | None = None,
        start: str = "",
        device: str = "auto",
        thickness: float | None = None,
        onProgress: Callable[[dict], None] = lambda event: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> str:
        """Start fine-tuning a model on one scan.

        Args:
            node: the scan.
            minutes: duration; three if neither this nor `steps` is given.
            start: name of the model to fine-tune; the default model if empty.
            thickness: slice thickness in mm; None uses the DICOM value.
            steps, device, onProgress, onFinished: as in `train`.

        Returns:
            The name of the new model.

        Raises:
            TaskError: the training cannot start; nothing has changed.
        """
        start = start or Models.names()[0]

        def arguments(place: Path) -> list[str]:
            scan = TrainingScans.writeOneForChild(node, place, thickness)
            return ["adapt", *scan, "--from", weights(start), *durationArguments(minutes, steps), "--device", device]

        reasons = volumeProblems([node]) + modelProblems(start)
        name = _("{scan} adapted").format(scan=node.GetName()) if not reasons else ""
        return self._start(name, arguments, reasons, onProgress, onFinished)

    def _start(self, name: str, arguments, reasons: Sequence[str], onProgress, onFinished) -> str:
        """Create the folder of a new model and start its training."""
        self._refuse(reasons)
        try:
            name, place = ModelFolder.newPlace(name, Models.names())
        except OSError as error:
            self._refuse([_("The model folder cannot be written ({error}).").format(error=error.strerror)])
        try:
            order = arguments(place)
            write_whole(json.dumps({"version": VERSION, "arguments": order}).encode(), place / ORDER)
            self._launch(name, order, onProgress, onFinished)
        except (OSError, SynthesisError) as error:
            removeFolder(place)
            self._refuse([_("The training could not be started: {error}.").format(error=error)])
        except BaseException:
            removeFolder(place)
            raise
        return name

    def resume(
        self,
        name: str,
        onProgress: Callable[[dict], None] = lambda event: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Resume a training that was stopped.

        Args:
            name: one of `unfinished`.
            onProgress, onFinished: as in `train`.

        Raises:
            TaskError: the training cannot be resumed.
        """
        order = orderIn(ModelFolder.folder() / name / ORDER)
        missing = [_("There is no training “{name}” to resume.").format(name=name)]
        self._refuse(missing if order is None else [])
        self._launch(name, order["arguments"], onProgress, onFinished)

    def _refuse(self, reasons: Sequence[str]) -> None:
        """Raise TaskError if there is a reason not to start."""
        if self.isRunning:
            reasons = [_("Another training is in progress: wait for it, or stop it.")]
        elif not reasons and Requirements.missing(THREE_VIEW):
            reasons = [Requirements.howToGet()]
        if reasons:
            raise TaskError(Outcome(FAILED, reasons[0]))

    def _launch(self, name: str, order: list[str], onProgress, onFinished) -> None:
        place = ModelFolder.folder() / name
        self.curve = []

        def progress(event: dict) -> None:
            if event.get("stage") == "train":
                self.curve.append({key: event.get(key) for key in ("step", "losses", "gain_db")})
            onProgress(event)

        def launched(folder: Path) -> TrainingJob:
            output = ["--out", str(place / f"{name}.pt"), "--cache", str(place / "cache"), "--resume", "--events"]
            worker = engine([*order, *output], folder)
            return TrainingJob(folder, worker, progress, onFinished, place=place, name=name)

        self._begin(launched)

    @property
    def name(self) -> str:
        """Name of the model that is being trained; empty while idle."""
        return self._run.name if self._run else ""

    @property
    def isStopping(self) -> bool:
        return self._run is not None and self._run.isStopping

    def stop(self) -> None:
        """Ask the training to save its state and stop; `onFinished` is called when it has."""
        if self.isRunning and not self.isStopping:
            self._run.isStopping = True
            self._run.worker.interrupt()
            self._deadline.start(1000 * GRACE_SECONDS)

    def _listen(self) -> None:
        super()._listen()
        self._deadline.connect("timeout()", self._endNow)

    def _stopListening(self) -> None:
        self._deadline.stop()
        self._deadline.disconnect("timeout()", self._endNow)
        super()._stopListening()

    def cancel(self) -> None:
        """Stop the training before Slicer exits: wait briefly for its state to be saved, then kill it."""
        if self.isRunning:
            self._run.isStopping = True
            self._run.worker.interrupt()
            self._run.worker.waitFor(GRACE_SECONDS / 4)
            self._endNow()

    def _endNow(self) -> None:
        super().cancel()

    def _cancelMessages(self) -> tuple[str, str]:
        return _("The training was stopped; it can be resumed."), ""

    def _outcomeOf(self, run: TrainingJob, exitCode: int) -> Outcome:
        if run.isStopping and run.result is None:
            return Outcome(CANCELED, self._cancelMessages()[0])
        if run.result is None:
            return afterFailure(run, Outcome(FAILED, run.failure) if run.failure else endedWithoutResult(run.worker))
        for name in (ORDER, "sources.csv"):
            (run.place / name).unlink(missing_ok=True)
        for name in ("scans", "cache"):
            removeFolder(run.place / name)
        return afterCompletion(run)


def afterFailure(run: TrainingJob, outcome: Outcome) -> Outcome:
    """Remove the files of a failed training, unless it can be resumed; return its outcome."""
    if (run.place / f"{run.name}.pt.state").exists():
        message = _("{sentence} The training “{name}” can be resumed.")
        return replace(outcome, sentence=message.format(sentence=outcome.sentence, name=run.name))
    removeFolder(run.place)
    return outcome


def afterCompletion(run: TrainingJob) -> Outcome:
    """Return the outcome of a completed training; its model is added unless it failed validation."""
    try:
        facts = run.result
        trained = Trained(run.name, facts["passed"], str(facts["verdict"]), Path(facts["report"]))
        if trained.passed is False:
            message = _("“{name}” is trained, but it lost and was not added to the models. {verdict}")
            sentence = message.format(name=run.name, verdict=trained.verdict)
            return Outcome(FAILED, sentence, output=replace(trained, name=None))
        weights = run.place / f"{run.name}.pt"
        card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        ModelFolder.register(run.name, weights, str(facts["sha256"]), card["recipe"], card)
    except (OSError, ValueError, KeyError, TypeError, SynthesisError) as error:
        return Outcome(FAILED, _("The model could not be added: {error}.").format(error=error))
    message = _("“{name}” is trained and is now among the models. {verdict}")
    return Outcome(SUCCEEDED, message.format(name=run.name, verdict=trained.verdict), output=trained)


def volumeProblems(nodes: Sequence) -> list[str]:
    """Return the reasons why volumes cannot be used for training: unsuitable data, or too little disk space."""
    reasons = TrainingScans.problems(nodes)
    return reasons or diskSpaceProblems(TrainingScans.bytesNeeded(nodes), ModelFolder.nearest())


def modelProblems(start: str) -> list[str]:
    """Return the reasons why a training cannot start from a model; empty if there are none."""
    return [] if start == SCRATCH else Models.problems(start)


def weights(start: str) -> str:
    """Return the engine's name of a start value."""
    return start if start == SCRATCH else Models.weightsOf(start)


def durationArguments(minutes: float | None, steps: int | None) -> list[str]:
    """Return the duration as command-line arguments."""
    if steps is not None:
        return ["--steps", str(steps)]
    return [] if minutes is None else ["--minutes", str(minutes)]
