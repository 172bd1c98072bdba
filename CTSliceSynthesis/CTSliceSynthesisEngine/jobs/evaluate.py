"""The job "evaluate": thicken a thin-slice scan, restore it, and compare the result with the classical methods."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import SynthesisError
from ..evaluation import report
from ..evaluation.holdout import Comparison, compare, hold_out
from ..evaluation.metrics import disagreement_figures
from ..evaluation.picture import comparison_picture
from ..networks.registry import default_model
from ..synthesis import classical, pipeline
from ..synthesis.options import AUTO, SynthesisOptions
from ..synthesis.outputs import DISAGREEMENT
from ..synthesis.plan import make_plan
from ..volume import files
from ..volume.thickness import estimate_thickness
from ..volume.volume import Volume
from . import result_folder

OURS = "three-view"


@dataclass(frozen=True)
class EvaluateRequest:
    """Evaluate a model on a thin-slice scan.

    Attributes:
        truth: the thin-slice scan (ground truth).
        factor: number of thin slices per thick slice.
        out: folder for report.json, report.md and picture.png; created if missing.
        profile: "gap" (slices dropped), "slab" or "bell" (slices averaged), see `volume.thinning`.
        model, device, precision: as in `IncreaseRequest`.
        thickness: slice thickness of the thin scan in mm; None uses the value in the file.
        axis: slice axis; None detects it.
        series: DICOM series, if the folder contains several.
        volumes: also write thick.nrrd, thin.nrrd and disagreement.nrrd.
    """

    truth: str
    factor: int
    out: str
    profile: str = "gap"
    model: str | None = None
    device: str = "auto"
    precision: str = AUTO
    thickness: float | None = None
    axis: int | None = None
    series: str | None = None
    volumes: bool = False


def evaluate(request: EvaluateRequest, reporter: pipeline.Reporter) -> Comparison:
    """Thicken a thin-slice scan, restore it, and compare.

    Args:
        request: scan, model, options and output folder.
        reporter: receives progress and remarks.

    Raises:
        SynthesisError: see errors.REASONS.
    """
    from ..networks.checkpoint import load
    from ..synthesis.devices import choose_device

    device = choose_device(request.device)
    model = load(request.model or default_model(device.type))
    scan = files.open_scan(request.truth, slice_axis=request.axis, thickness=request.thickness, series=request.series)
    truth = truth_from(scan, request.truth)
    thick, trimmed = hold_out(truth, request.factor, request.profile)
    if request.profile == "gap" and truth.grid.thickness is None:
        thick = replace(thick, grid=replace(thick.grid, thickness=None))
    plan = make_plan(
        thick.grid,
        thick.voxels.dtype,
        SynthesisOptions(
            factor=request.factor, outputs=(DISAGREEMENT,), precision=request.precision, accept_isotropic=True
        ),
        recipe=model.recipe,
        estimated_thickness=None if thick.grid.thickness else estimate_thickness(thick),
    )
    out = result_folder.create(request.out)
    ours = pipeline.synthesize(thick, plan, model, device=device, reporter=reporter)
    comparison = _compare_methods(request, truth, trimmed, ours, reporter)
    reporter.progress("picture", 0, 1)
    cubic = classical.interpolate_volume(thick, request.factor, "cubic")
    comparison_picture(out / "picture.png", thick, cubic, ours.volume, trimmed, ours.outputs[DISAGREEMENT])
    report.write(comparison, out / "report.json")
    report.write(comparison, out / "report.md")
    if request.volumes:
        volumes = {"thick": thick, "thin": ours.volume, **ours.outputs}
        for name, volume in volumes.items():
            files.write(volume, out / f"{name}.nrrd", overwrite=True)
    reporter.progress("picture", 1, 1)
    return comparison


def _compare_methods(
    request: EvaluateRequest, truth: Volume, trimmed: Volume, ours: pipeline.Result, reporter: pipeline.Reporter
) -> Comparison:
    """Return the metrics of all methods, and how well the view disagreement predicts the model's errors."""

    def report_score(method: str, done: int, total: int) -> None:
        reporter.progress("score", done, total)

    comparison = compare(truth, request.factor, request.profile, {OURS: lambda _: ours.volume}, report_score)
    reporter.progress("score", len(comparison.rows), len(comparison.rows))
    figures = disagreement_figures(trimmed, ours.volume, ours.outputs[DISAGREEMENT], request.factor)
    rows = {name: {**row, **(figures if name == OURS else {})} for name, row in comparison.rows.items()}
    return replace(comparison, rows=rows)


def truth_from(scan: files.Scan, path: str) -> Volume:
    """Read a scan as ground truth; results of this program are refused.

    Raises:
        SynthesisError: "bad-input".
    """
    if scan.header.origin:
        message = f"{path} is a result of CTSliceSynthesis, and estimates are no truth to measure by"
        raise SynthesisError("bad-input", f"{message}; give a scan.")
    return scan.read()
