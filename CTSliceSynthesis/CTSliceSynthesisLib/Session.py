"""One run at a time, from start to outcome: the one door for scripts (Logic) and the panel (Widgets/, one file for a section).

    idle -> running -> idle, with an Outcome: succeeded, failed or canceled

The voxels go into a private folder, a child process works there, and the result comes back as a volume.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase_request import to_json
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import Plan, available_memory, check_memory, estimate_seconds, make_plan
from slicer.i18n import tr as _

from . import Messages
from .Parameters import Options
from .Processes.Outcome import FAILED, Outcome
from .Processes.Progress import Progress, Tracker
from .Processes.Results import concluded
from .Processes.Run import OUTPUTS, IncreaseError, Run, requestFor, resultName, wanted
from .Processes.Task import Task, engine, roomProblems
from .Scene import VolumeNodes
from .Setup import Models, Requirements


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
    asked = SynthesisOptions(
        factor=options.factor,
        spacing=options.spacing,
        isotropic=options.isotropic,
        exact=options.exact,
        method=options.method,
        acquired=options.acquired,
        texture=options.texture,
        outputs=tuple(OUTPUTS[role] for role in wanted(options)),
    )
    recipe = Models.recipeOf(options.model) or PRESETS["compact"]
    return make_plan(grid, VolumeNodes.dtypeOf(node), asked, recipe=recipe)


def problems(node, options: Options, target=None) -> list[str]:
    """Why a run cannot start, in the user's words; empty when it can. `start` itself asks whether PyTorch is there."""
    if node is not None and node is target:
        return [_("The result must not replace the input: choose another output volume.")]
    if options.method == THREE_VIEW:
        for problem in Models.problems(options.model):
            return [problem]
    try:
        decided = plan(node, options)
        check_memory(decided, available_memory())
    except SynthesisError as error:
        return [Messages.ofError(error)]
    return roomProblems(bytesOnDisk(node, decided), slicer.app.temporaryPath)


def bytesOnDisk(node, decided: Plan) -> int:
    """What input and result take in the private folder, at most."""
    size = VolumeNodes.byteCount(node)
    growth = decided.output_grid.slice_count / decided.grid.slice_count
    return int(size * (1 + growth))


class Session(Task):
    """Starts runs, follows them, ends them. See Task."""

    Error = IncreaseError

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
        self._begin(lambda folder: self._launched(node, options, target, folder, onProgress, onFinished))
        onProgress(self._run.tracker.now())

    def _launched(self, node, options: Options, target, folder: Path, onProgress, onFinished) -> Run:
        decided = plan(node, options)
        VolumeNodes.handOver(node, folder / "thick.nrrd")
        request = requestFor(decided, options, folder)
        (folder / "request.json").write_text(to_json(request), encoding="utf-8")
        worker = engine(["run", "request.json"], folder)
        kind = "cpu" if options.device == "auto" else options.device.partition(":")[0]
        return Run(
            source=node,
            plan=decided,
            options=options,
            name=resultName(node.GetName(), decided),
            target=target,
            scalarType=node.GetImageData().GetScalarType(),
            appearance=VolumeNodes.appearanceOf(node),
            tracker=Tracker(estimate_seconds(decided, kind)),
            folder=folder,
            worker=worker,
            onProgress=onProgress,
            onFinished=onFinished,
        )

    def _endings(self) -> tuple[str, str]:
        return _("The run was canceled; nothing was changed."), _("The scene was closed, which ended the run.")

    def _look(self, run: Run) -> None:
        run.onProgress(run.tracker.now())

    def _concluded(self, run: Run, exitCode: int) -> Outcome:
        return concluded(run, exitCode)
