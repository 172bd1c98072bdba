"""Runs the engine on a volume, one run at a time; entry point for both scripts (Logic) and the panel (Widgets).

    idle -> running -> idle, with an Outcome: succeeded, failed or canceled

Voxels are written to a private folder, where a child process runs the engine; the result is read back as a volume.
"""

from __future__ import annotations

import math
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
from .Processes.Results import outcomeOf
from .Processes.Run import OUTPUTS, IncreaseError, Run, requestedRoles, requestFor, resultName
from .Processes.Task import Task, diskSpaceProblems, engine
from .Scene import VolumeNodes
from .Setup import Models, Requirements

EXTRA_OUTPUT_BYTES = 2
"""Of a voxel of the expected error or the disagreement."""


def plan(node, options: Options) -> Plan:
    """Return what a run will do; raise SynthesisError if it is not possible."""
    for problem in VolumeNodes.problems(node):
        raise SynthesisError("bad-input", problem)
    grid = VolumeNodes.gridOf(node, options.sliceAxis, options.thickness)
    if grid.is_isotropic:
        raise SynthesisError(
            "bad-geometry",
            _(
                "The slices are already as close as the pixels ({spacing:.3g} mm): slices between them would add nothing."
            ).format(spacing=grid.slice_spacing),
        )
    synthesisOptions = SynthesisOptions(
        factor=options.factor,
        spacing=options.spacing,
        isotropic=options.isotropic,
        exact=options.exact,
        method=options.method,
        acquired=options.acquired,
        texture=options.texture,
        outputs=tuple(OUTPUTS[role] for role in requestedRoles(options)),
    )
    recipe = Models.recipeOf(options.model) or PRESETS["compact"]
    return make_plan(grid, VolumeNodes.dtypeOf(node), synthesisOptions, recipe=recipe)


def problems(node, options: Options, target=None) -> list[str]:
    """Return the reasons why a run cannot start, for the user; empty if there are none. PyTorch is checked by `start`."""
    if node is not None and node is target:
        return [_("The result must not replace the input: choose another output volume.")]
    if options.method == THREE_VIEW:
        for problem in Models.problems(options.model):
            return [problem]
    try:
        runPlan = plan(node, options)
        check_memory(runPlan, available_memory())
    except SynthesisError as error:
        return [Messages.ofError(error)]
    return diskSpaceProblems(bytesOnDisk(node, runPlan), slicer.app.temporaryPath)


def bytesOnDisk(node, runPlan: Plan) -> int:
    """Return an upper bound of the disk space that input and outputs need in the private folder."""
    perVoxel = VolumeNodes.dtypeOf(node).itemsize + EXTRA_OUTPUT_BYTES * len(runPlan.outputs)
    return VolumeNodes.byteCount(node) + math.prod(runPlan.output_grid.size) * perVoxel


class Session(Task):
    """Starts, monitors and finishes runs. See Task."""

    Error = IncreaseError

    def start(
        self,
        node,
        options: Options,
        target=None,
        onProgress: Callable[[Progress], None] = lambda progress: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start a run. Unless this raises, `onFinished` is called exactly once, however the run ends.

        Raises:
            IncreaseError: the run cannot start; nothing has changed.
        """
        reasons = [_("Another run is in progress: wait for it, or cancel it.")] if self.isRunning else []
        reasons = reasons or problems(node, options, target)
        if not reasons and Requirements.missing(options.method):
            reasons = [Requirements.howToGet()]
        if reasons:
            raise IncreaseError(Outcome(FAILED, reasons[0]))
        self._begin(lambda folder: self._startJob(node, options, target, folder, onProgress, onFinished))
        onProgress(self._run.tracker.now())

    def _startJob(self, node, options: Options, target, folder: Path, onProgress, onFinished) -> Run:
        runPlan = plan(node, options)
        VolumeNodes.writeForChild(node, folder / "thick.nrrd")
        request = requestFor(runPlan, options, folder)
        (folder / "request.json").write_text(to_json(request), encoding="utf-8")
        worker = engine(["run", "request.json"], folder)
        kind = "cpu" if options.device == "auto" else options.device.partition(":")[0]
        return Run(
            source=node,
            plan=runPlan,
            options=options,
            name=resultName(node.GetName(), runPlan),
            target=target,
            scalarType=node.GetImageData().GetScalarType(),
            appearance=VolumeNodes.appearanceOf(node),
            tracker=Tracker(estimate_seconds(runPlan, kind)),
            folder=folder,
            worker=worker,
            onProgress=onProgress,
            onFinished=onFinished,
        )

    def _cancelMessages(self) -> tuple[str, str]:
        return _("The run was canceled; nothing was changed."), _("The scene was closed, which ended the run.")

    def _onPoll(self, run: Run) -> None:
        run.onProgress(run.tracker.now())

    def _outcomeOf(self, run: Run, exitCode: int) -> Outcome:
        return outcomeOf(run, exitCode)
