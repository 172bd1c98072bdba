"""Adds a weights file of any origin to the models; a child process validates it strictly before it can be used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase_request import to_json
from CTSliceSynthesisEngine.jobs.inspect_model import InspectRequest
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from slicer.i18n import tr as _

from ..Setup import ModelFolder, Models, Requirements
from .Outcome import FAILED, SUCCEEDED, Outcome, TaskError
from .Task import Job, Task, endedWithoutResult, engine

MOST_BYTES = 2 << 30
"""Size limit of a weights file; the largest preset needs a tenth of it."""


def problems(path: Path) -> list[str]:
    """Return the reasons why a file cannot be added that can be detected without opening it; empty if there are none."""
    if not path.is_file():
        return [_("{path} is not a file: choose a weights file, whose name ends in .pt.").format(path=path)]
    if path.stat().st_size > MOST_BYTES:
        return [
            _("“{name}” has {size:.1f} GB; a weights file has at most 2 GB: choose another file.").format(
                name=path.name, size=path.stat().st_size / 1e9
            )
        ]
    return []


class Inspection(Task):
    """Inspects one file at a time. See Task."""

    endsWithScene = False

    def start(self, path: str | Path, onFinished: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """Start inspecting a file, and add it to the models if it is valid.

        Args:
            path: path of the file.
            onFinished: called exactly once with the outcome, whose output is the name of the new model.

        Raises:
            TaskError: the inspection cannot start; nothing has changed.
        """
        path = Path(path)
        reasons = [_("Another file is being checked: wait for it.")] if self.isRunning else problems(path)
        if not reasons and Requirements.missing(THREE_VIEW):
            reasons = [Requirements.howToGet()]
        if reasons:
            raise TaskError(Outcome(FAILED, reasons[0]))
        self._begin(lambda folder: self._startJob(path, folder, onFinished))

    def _startJob(self, path: Path, folder: Path, onFinished) -> Job:
        """Inspect a private copy, which cannot change before it is added."""
        self._copy = folder / "file" / path.name
        self._copy.parent.mkdir()
        shutil.copyfile(path, self._copy)
        (folder / "request.json").write_text(to_json(InspectRequest(str(self._copy)), "inspect"), encoding="utf-8")
        return Job(folder, engine(["run", "request.json"], folder), lambda event: None, onFinished)

    def _cancelMessages(self) -> tuple[str, str]:
        return _("No model was added."), ""

    def _outcomeOf(self, run: Job, exitCode: int) -> Outcome:
        if run.failure:
            return Outcome(FAILED, run.failure)
        if exitCode != 0 or run.result is None:
            return endedWithoutResult(run.worker)
        if run.result.get("failure"):
            message = _("“{name}” was measured after its training and is not added. {verdict}")
            return Outcome(FAILED, message.format(name=self._copy.name, verdict=run.result["failure"]))
        same = [model.name for model in ModelFolder.models() if model.sha256 == run.result.get("sha256")]
        if same:
            return Outcome(
                SUCCEEDED, _("This file is the model “{name}” already.").format(name=same[0]), output=same[0]
            )
        try:
            return self._addModel(run.result)
        except (OSError, ValueError, KeyError, SynthesisError) as error:
            return Outcome(FAILED, _("The model could not be added: {error}.").format(error=error))

    def _addModel(self, facts: dict) -> Outcome:
        name, place = ModelFolder.newPlace(self._copy.stem, Models.names())
        try:
            shutil.copyfile(self._copy, place / f"{name}.pt")
            card = facts["card"] if isinstance(facts["card"], dict) else {}
            ModelFolder.register(name, place / f"{name}.pt", facts["sha256"], facts["recipe"], card)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return Outcome(SUCCEEDED, _("“{name}” was added to the models. {verdict}").format(
            name=name, verdict=verdictText(card)
        ).strip(), output=name)  # fmt: skip


def verdictText(card: dict) -> str:
    """Return the verdict of the model's validation, or a notice that there is none."""
    verdict = card.get("verdict")
    sentence = verdict.get("sentence") if isinstance(verdict, dict) else None
    if isinstance(sentence, str) and isinstance(verdict.get("passed"), bool):
        return sentence[:400]
    return _("It was not measured after its training: check it on a scan before you trust it.")
