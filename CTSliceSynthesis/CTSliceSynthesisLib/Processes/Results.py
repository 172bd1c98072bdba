"""Reads the volumes of a finished run and adds them to the scene, with their provenance."""

from __future__ import annotations

from dataclasses import replace

import slicer
import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.options import THIN
from CTSliceSynthesisEngine.synthesis.outputs import OUTPUTS as CONTENTS
from CTSliceSynthesisEngine.version import VERSION
from slicer.i18n import tr as _

from ..Scene import Origin, VolumeNodes
from .Outcome import FAILED, SUCCEEDED, Outcome
from .Run import OUTPUTS, Run, requestedRoles
from .Task import endedWithoutResult

ESTIMATES = "synthesized slices are estimates; for research use"
ADDITIONS = {Origin.EXPECTED_ERROR: "expected error", Origin.DISAGREEMENT: "disagreement"}


def outcomeOf(run: Run, exitCode: int) -> Outcome:
    """Return the outcome of a run whose process has ended. Success means exit code 0, a result event, and readable files."""
    if run.failure:
        return Outcome(FAILED, run.failure)
    if exitCode != 0 or run.result is None:
        return endedWithoutResult(run.worker)
    try:
        return importResult(run)
    except (SynthesisError, RuntimeError, OSError, MemoryError) as error:
        return Outcome(FAILED, _("The result could not be read: {error}").format(error=error or type(error).__name__))


def importResult(run: Run) -> Outcome:
    """Read all files of a run, then add them to the scene; return the outcome."""
    grid, facts = run.plan.output_grid, factsOf(run)
    thin = VolumeNodes.readResult(run.folder / "thin.nrrd", grid, run.scalarType)
    images = {
        role: VolumeNodes.readResult(run.folder / f"{OUTPUTS[role]}.nrrd", grid, vtk.VTK_SHORT)
        for role in requestedRoles(run.options)
    }
    output = VolumeNodes.put(thin, grid, run.target, run.name, run.appearance, facts)
    source = run.source if slicer.mrmlScene.IsNodePresent(run.source) else None
    Origin.refer(output, Origin.SOURCE, source)
    plain, additional = replace(run.appearance, display=None), {}
    for role in OUTPUTS:
        if role in images:
            name = f"{output.GetName()} {ADDITIONS[role]}"
            additional[role] = VolumeNodes.put(
                images[role], grid, None, name, plain, {**facts, Origin.CONTENT: CONTENTS[OUTPUTS[role]].content}
            )
        Origin.refer(output, role, additional.get(role))
    sentence = _("“{name}” is ready: a slice every {spacing:.3g} mm.").format(
        name=output.GetName(), spacing=grid.slice_spacing
    )
    return Outcome(
        SUCCEEDED,
        sentence,
        output=output,
        disagreement=additional.get(Origin.DISAGREEMENT),
        expectedError=additional.get(Origin.EXPECTED_ERROR),
    )


def factsOf(run: Run) -> dict[str, str]:
    """Return the provenance for the node's attributes: anyone who opens it later must know that it contains estimates."""
    facts = {
        "method": run.plan.method,
        "factor": f"{run.plan.factor:.10g}",
        "slice_axis": "ijk"[run.plan.grid.slice_axis],
        "texture": run.options.texture,
        "version": VERSION,
        "note": ESTIMATES,
    }
    if not isinstance(run.plan.factor, int):  # makes cropping detectable
        facts |= {"slices": str(run.plan.output_grid.slice_count)}
    if run.plan.acquired == THIN:
        facts |= {"acquired": THIN}
    if run.result and run.result.get("model"):
        facts |= {"model": str(run.result["model"]), "model_sha256": str(run.result.get("model_sha256"))}
    return facts
