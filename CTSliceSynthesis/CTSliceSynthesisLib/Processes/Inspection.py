"""A weights file from anywhere becomes a model of this computer: a child process reads it strictly before anybody uses it."""

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
"""Of a weights file: the largest networks that there are have a tenth of it."""


def problems(path: Path) -> list[str]:
    """Why a file cannot be added, as far as it can be told without opening it; empty when it can."""
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
    """Looks into one file at a time. See Task."""

    endsWithScene = False

    def start(self, path: str | Path, onFinished: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """Start to look into a file, and add it to the models if it is one.

        Args:
            path: of the file.
            onFinished: called once with the outcome; its output is the name of the new model.

        Raises:
            TaskError: it cannot start; nothing has changed.
        """
        path = Path(path)
        found = [_("Another file is being checked: wait for it.")] if self.isRunning else problems(path)
        if not found and Requirements.missing(THREE_VIEW):
            found = [Requirements.howToGet()]
        if found:
            raise TaskError(Outcome(FAILED, found[0]))
        self._begin(lambda folder: self._launched(path, folder, onFinished))

    def _launched(self, path: Path, folder: Path, onFinished) -> Job:
        """What is looked into is a copy that nobody else can change before it is added."""
        self._copy = folder / "file" / path.name
        self._copy.parent.mkdir()
        shutil.copyfile(path, self._copy)
        (folder / "request.json").write_text(to_json(InspectRequest(str(self._copy)), "inspect"), encoding="utf-8")
        return Job(folder, engine(["run", "request.json"], folder), lambda event: None, onFinished)

    def _endings(self) -> tuple[str, str]:
        return _("No model was added."), ""

    def _concluded(self, run: Job, exitCode: int) -> Outcome:
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
            return self._added(run.result)
        except (OSError, ValueError, KeyError, SynthesisError) as error:
            return Outcome(FAILED, _("The model could not be added: {error}.").format(error=error))

    def _added(self, facts: dict) -> Outcome:
        name, place = ModelFolder.newPlace(self._copy.stem, Models.names())
        try:
            shutil.copyfile(self._copy, place / f"{name}.pt")
            card = facts["card"] if isinstance(facts["card"], dict) else {}
            ModelFolder.register(name, place / f"{name}.pt", facts["sha256"], facts["recipe"], card)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return Outcome(SUCCEEDED, _("“{name}” was added to the models. {verdict}").format(
            name=name, verdict=measured(card)
        ).strip(), output=name)  # fmt: skip


def measured(card: dict) -> str:
    """The gate's verdict on a model, or that there is none."""
    verdict = card.get("verdict")
    sentence = verdict.get("sentence") if isinstance(verdict, dict) else None
    if isinstance(sentence, str) and isinstance(verdict.get("passed"), bool):
        return sentence[:400]
    return _("It was not measured after its training: check it on a scan before you trust it.")
