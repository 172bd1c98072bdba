"""Training a model in a child process: it goes on while Slicer is used for other work, and can be stopped and gone on with.

models/mine/training.json   what is trained, so that it can be resumed; goes away when it is done
models/mine/scans, cache    volumes of the scene that it learns from, and scans made ready; they go away as well
models/mine/mine.pt.state   how far it is, at most a minute old
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
from .Task import Job, Task, endedWithoutResult, engine, roomProblems

ORDER = "training.json"
VERSION = 1
SILENCE_SECONDS = 3600
"""Measuring a large scan on a slow computer takes long, and says nothing meanwhile."""
GRACE_SECONDS = 20
"""For a child that was asked to stop, to write its state; then it is ended."""
SCRATCH = "scratch"
"""In place of a model to start from."""
RECIPES = ("auto", "anchored", "dense")


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        name: of the model; None where it lost, and was not added to the models.
        passed: True if it beats the best classical method on every scan that was held out; None if it was not measured.
        verdict: the same in words.
        report: a page with curves, figures and pictures.
    """

    name: str | None
    passed: bool | None
    verdict: str
    report: Path


@dataclass
class TrainingJob(Job):
    """A training at work.

    Attributes:
        place: folder of the model.
        name: of the model to be.
        isStopping: it was asked to stop.
    """

    place: Path = Path()
    name: str = ""
    isStopping: bool = False


def unfinished() -> list[str]:
    """Names of trainings that can be resumed, the last one first."""
    orders = [path for path in ModelFolder.folder().glob(f"*/{ORDER}") if orderIn(path) is not None]
    return [path.parent.name for path in sorted(orders, key=lambda path: path.stat().st_mtime, reverse=True)]


def orderIn(path: Path) -> dict[str, Any] | None:
    """What was to be trained; None where the file makes no sense."""
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        right = order["version"] == VERSION and all(isinstance(word, str) for word in order["arguments"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return order if right else None


class Training(Task):
    """Starts trainings, follows them, stops them. See Task.

    Attributes:
        curve: what the last training told: "step", "losses" and "gain_db" of each point.
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
        """Start to train a model; `onFinished` is called once, whatever becomes of it, unless this raises.

        Args:
            scans: a folder with scans, or volumes of the scene.
            name: of the model to be; a number is added where it is taken.
            recipe: "auto", "anchored" or "dense".
            minutes: how long; an hour if neither this nor `steps` is given.
            steps: instead of minutes.
            start: "scratch", or the name of a model to go on from.
            preset: size of the networks, where it starts from scratch.
            device: "auto", "cpu", "cuda", "cuda:n" or "mps".
            onProgress: called with the engine's events "progress".
            onFinished: called with the outcome; its output is a Trained.

        Returns:
            The name of the model to be.

        Raises:
            TaskError: it cannot start; nothing has changed.
        """
        isFolder = isinstance(scans, (str, Path))
        found = TrainingScans.folderProblems(Path(scans)) if isFolder else volumeProblems(scans)
        options = ["--recipe", recipe, "--preset", preset, "--from", weights(start), *length(minutes, steps)]

        def arguments(place: Path) -> list[str]:
            cohort = [str(Path(scans).resolve())] if isFolder else TrainingScans.handOver(scans, place)
            return ["train", *cohort, *options, "--device", device]

        return self._start(name, arguments, [*found, *modelProblems(start)], onProgress, onFinished)

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
        """Start to adapt a model to one scan.

        Args:
            node: the scan.
            minutes: how long; three if neither this nor `steps` is given.
            start: name of the model to go on from; the default one if it is empty.
            thickness: slice thickness in mm; None takes what DICOM says.
            steps, device, onProgress, onFinished: as in `train`.

        Returns:
            The name of the model to be.

        Raises:
            TaskError: it cannot start; nothing has changed.
        """
        start = start or Models.names()[0]

        def arguments(place: Path) -> list[str]:
            scan = TrainingScans.handOverOne(node, place, thickness)
            return ["adapt", *scan, "--from", weights(start), *length(minutes, steps), "--device", device]

        found = volumeProblems([node]) + modelProblems(start)
        name = _("{scan} adapted").format(scan=node.GetName()) if not found else ""
        return self._start(name, arguments, found, onProgress, onFinished)

    def _start(self, name: str, arguments, found: Sequence[str], onProgress, onFinished) -> str:
        """Make the place of a new model and start its training there."""
        self._refuse(found)
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
        """Go on with a training that was stopped.

        Args:
            name: one of `unfinished`.
            onProgress, onFinished: as in `train`.

        Raises:
            TaskError: it cannot go on.
        """
        order = orderIn(ModelFolder.folder() / name / ORDER)
        missing = [_("There is no training “{name}” to resume.").format(name=name)]
        self._refuse(missing if order is None else [])
        self._launch(name, order["arguments"], onProgress, onFinished)

    def _refuse(self, found: Sequence[str]) -> None:
        """Raise where something stands against a start."""
        if self.isRunning:
            found = [_("Another training is going on: wait for it, or stop it.")]
        elif not found and Requirements.missing(THREE_VIEW):
            found = [Requirements.howToGet()]
        if found:
            raise TaskError(Outcome(FAILED, found[0]))

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
        """Of the model that is being trained; empty while idle."""
        return self._run.name if self._run else ""

    @property
    def isStopping(self) -> bool:
        return self._run is not None and self._run.isStopping

    def stop(self) -> None:
        """Ask the training to stop and keep its state; `onFinished` tells when it has."""
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
        """Stop it before Slicer goes: wait a moment for its state, then end it."""
        if self.isRunning:
            self._run.isStopping = True
            self._run.worker.interrupt()
            self._run.worker.waited(GRACE_SECONDS / 4)
            self._endNow()

    def _endNow(self) -> None:
        super().cancel()

    def _endings(self) -> tuple[str, str]:
        return _("The training was stopped; it can be resumed."), ""

    def _concluded(self, run: TrainingJob, exitCode: int) -> Outcome:
        if run.isStopping and run.result is None:
            return Outcome(CANCELED, self._endings()[0])
        if run.result is None:
            return kept(run, Outcome(FAILED, run.failure) if run.failure else endedWithoutResult(run.worker))
        for name in (ORDER, "sources.csv"):
            (run.place / name).unlink(missing_ok=True)
        for name in ("scans", "cache"):
            removeFolder(run.place / name)
        return ended(run)


def kept(run: TrainingJob, outcome: Outcome) -> Outcome:
    """A training that failed leaves nothing, unless it can be resumed."""
    if (run.place / f"{run.name}.pt.state").exists():
        way = _("{sentence} The training “{name}” can be resumed.")
        return replace(outcome, sentence=way.format(sentence=outcome.sentence, name=run.name))
    removeFolder(run.place)
    return outcome


def ended(run: TrainingJob) -> Outcome:
    """What became of a training that came to its end: only a model that did not lose is added."""
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
    """Why volumes cannot be learned from: what they are, or the room that they need."""
    found = TrainingScans.problems(nodes)
    return found or roomProblems(TrainingScans.bytesNeeded(nodes), ModelFolder.nearest())


def modelProblems(start: str) -> list[str]:
    """Why a training cannot start from a model; empty when it can."""
    return [] if start == SCRATCH else Models.problems(start)


def weights(start: str) -> str:
    """What the engine knows a start by."""
    return start if start == SCRATCH else Models.weightsOf(start)


def length(minutes: float | None, steps: int | None) -> list[str]:
    """How long to train, as arguments."""
    if steps is not None:
        return ["--steps", str(steps)]
    return [] if minutes is None else ["--minutes", str(minutes)]
