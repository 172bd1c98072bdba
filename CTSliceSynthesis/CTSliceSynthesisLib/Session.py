"""One run at a time, from start to outcome: the one door for scripts and the panel.

    idle -> running -> idle, with an Outcome: succeeded, failed or canceled

The voxels go into a private folder, a child process works there, and the result comes back as a volume. The folder is
removed on every path. Nothing here opens a window.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import qt
import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.request import to_json
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis.plan import (
    THREE_VIEW,
    Plan,
    available_memory,
    check_memory,
    estimate_seconds,
    make_plan,
)
from slicer.i18n import tr as _

from . import Models, Requirements, VolumeNodes
from .Parameters import Options
from .Progress import Progress, Tracker
from .Run import CANCELED, FAILED, IncreaseError, Outcome, Run, concluded, note, removeFolder, requestFor, resultName
from .Worker import Worker

MODULE_FOLDER = Path(__file__).parents[1]
POLL_MILLISECONDS = 100
SILENCE_SECONDS = 900
"""A child that says nothing for so long hangs: it tells each slab of slices, and a slab takes seconds to minutes."""


def plan(node, options: Options) -> Plan:
    """What a run will do; SynthesisError where it cannot."""
    for problem in VolumeNodes.problems(node):
        raise SynthesisError("bad-input", problem)
    grid = VolumeNodes.gridOf(node, options.sliceAxis, options.thickness)
    if grid.is_isotropic:
        raise SynthesisError(
            "bad-geometry",
            _(
                "The slices are already as close as the pixels ({spacing:.3g} mm): nothing is gained between them."
            ).format(spacing=grid.slice_spacing),
        )
    return make_plan(
        grid,
        VolumeNodes.dtypeOf(node),
        factor=options.factor,
        spacing=options.spacing,
        isotropic=options.isotropic,
        method=options.method,
        recipe=Models.recipeOf(options.model) or PRESETS["compact"],
        disagreement=options.disagreement,
    )


def problems(node, options: Options, target=None) -> list[str]:
    """Why a run cannot start, in the user's words; empty when it can. Missing PyTorch is no problem: it can be had."""
    if node is not None and node is target:
        return [_("The result must not replace the input: choose another output volume.")]
    if options.method == THREE_VIEW:
        for problem in Models.problems(options.model):
            return [problem]
    try:
        decided = plan(node, options)
        check_memory(decided, available_memory())
    except SynthesisError as error:
        return [str(error)]
    needed = bytesOnDisk(node, decided)
    free = shutil.disk_usage(slicer.app.temporaryPath).free
    if needed > free:
        return [
            _(
                "The run needs {needed:.1f} GB of disk space in {folder}, and {free:.1f} GB are free: make room first."
            ).format(needed=needed / 1e9, free=free / 1e9, folder=slicer.app.temporaryPath)
        ]
    return []


def bytesOnDisk(node, decided: Plan) -> int:
    """What input and result take in the private folder, at most."""
    size = VolumeNodes.byteCount(node)
    growth = decided.output_grid.slice_count / decided.grid.slice_count
    return int(size * (1 + growth))


class Session:
    """Starts runs, follows them, ends them.

    Args:
        silenceSeconds: a child that says nothing for so long is ended.
    """

    def __init__(self, silenceSeconds: float = SILENCE_SECONDS) -> None:
        self.silenceSeconds = silenceSeconds
        self._run: Run | None = None
        self._sceneTag: int | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.poll)
        slicer.app.connect("aboutToQuit()", self.cancel)

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

    def start(
        self,
        node,
        options: Options,
        target=None,
        onProgress: Callable[[Progress], None] = lambda progress: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start a run; `onFinished` is called once, whatever becomes of it, unless this raises.

        Raises:
            IncreaseError: it cannot start; nothing has changed.
        """
        found = [_("Another run is going on: wait for it, or cancel it.")] if self.isRunning else []
        found = found or problems(node, options, target)
        if not found and Requirements.missing(options.method):
            found = [Requirements.howToGet()]
        if found:
            raise IncreaseError(Outcome(FAILED, found[0]))
        folder = Path(tempfile.mkdtemp(prefix="CTSliceSynthesis-", dir=slicer.app.temporaryPath))  # 0700
        try:
            self._run = self._launched(node, options, target, folder, onProgress, onFinished)
        except (OSError, SynthesisError) as error:
            removeFolder(folder)
            raise IncreaseError(
                Outcome(FAILED, _("The run could not be started: {error}.").format(error=error))
            ) from error
        except BaseException:
            removeFolder(folder)
            raise
        self._sceneTag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneClose)
        self._timer.start()
        onProgress(self._run.tracker.now())

    def _launched(self, node, options: Options, target, folder: Path, onProgress, onFinished) -> Run:
        decided = plan(node, options)
        VolumeNodes.handOver(node, folder / "thick.nrrd")
        request = requestFor(decided, options, folder)
        (folder / "request.json").write_text(to_json(request), encoding="utf-8")
        worker = Worker(
            [
                sys.executable,
                str(MODULE_FOLDER / "CTSliceSynthesisLib" / "ChildProcess.py"),
                str(folder),
                "request.json",
            ],
            folder,
        )
        kind = "cpu" if options.device == "auto" else options.device.partition(":")[0]
        return Run(
            decided, options, resultName(node.GetName(), decided), target,
            node.GetImageData().GetScalarType(),
            VolumeNodes.appearanceOf(node), folder, worker, Tracker(estimate_seconds(decided, kind)), onProgress, onFinished,
        )  # fmt: skip

    def wait(self) -> None:
        """Return when the run has ended; the application stays alive meanwhile."""
        while self.isRunning:
            self.poll()
            slicer.app.processEvents()
            time.sleep(0.02)

    def cancel(self) -> None:
        """End the run now, if there is one."""
        self._finish(lambda run: Outcome(CANCELED, _("The run was canceled; nothing was changed.")))

    def _onSceneClose(self, caller, event) -> None:
        self._finish(lambda run: Outcome(CANCELED, _("The scene was closed, which ended the run.")))

    def poll(self) -> None:
        """Look what the child says, and whether it has ended. The timer calls this; so may a script that waits."""
        run = self._run
        if run is None:
            return
        exitCode = run.worker.exitCode  # before its news: what it said last is then among them
        for event in run.worker.news():
            note(run, event)
        trouble = self._trouble(run)
        if trouble:
            self._finish(lambda run: Outcome(FAILED, trouble))
        elif exitCode is not None:
            self._finish(lambda run: concluded(run, exitCode))
        else:
            run.onProgress(run.tracker.now())

    def _trouble(self, run: Run) -> str:
        """Why a child that still runs must be ended; empty if it is well."""
        if run.worker.saysTooMuch:
            return _("The child process wrote without end, and was stopped.")
        if run.worker.silentSeconds > self.silenceSeconds:
            return _("The child process has said nothing for {seconds:.0f} s, and was stopped.").format(
                seconds=self.silenceSeconds
            )
        return ""

    def _finish(self, conclude: Callable[[Run], Outcome]) -> None:
        """The one way out of a run: stop, conclude, clean up, tell."""
        run, self._run = self._run, None
        if run is None:
            return
        self._timer.stop()
        slicer.mrmlScene.RemoveObserver(self._sceneTag)
        try:
            run.worker.end()
            outcome = conclude(run)
            if outcome.status == FAILED and not outcome.log:
                outcome = replace(outcome, log=run.worker.lastWords())
        finally:
            removeFolder(run.folder)
        seconds = time.monotonic() - run.started
        run.onFinished(replace(outcome, remarks=tuple(run.remarks), seconds=seconds))
