"""The job "evaluate": a thin scan is made thick, restored, and scored against the classical methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import SynthesisError
from ..evaluation import report
from ..evaluation.holdout import Comparison, compare, hold_out
from ..evaluation.metrics import disagreement_figures
from ..evaluation.picture import comparison_picture
from ..networks.registry import default_model
from ..synthesis import classical, pipeline
from ..synthesis.plan import AUTO, make_plan
from ..volume import files
from ..volume.thickness import estimate_thickness
from ..volume.volume import Volume
from . import result_folder

Progress = Callable[[str, int, int], None]
OURS = "three-view"


def evaluate(
    truth_path: str,
    factor: int,
    folder: str,
    *,
    profile: str = "gap",
    model_name: str | None = None,
    device_name: str = "auto",
    precision: str = AUTO,
    thickness: float | None = None,
    axis: int | None = None,
    series: str | None = None,
    keep_volumes: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Comparison:
    """Measure a model on a thin scan.

    Args:
        truth_path: the thin scan.
        factor: how many thin slices make a thick one.
        folder: gets report.json, report.md and picture.png; made if it is missing.
        profile: "gap" (slices dropped), "slab" or "bell" (slices averaged), see `volume.thinning`.
        model_name, device_name, precision: as in `IncreaseRequest`.
        thickness: slice thickness of the thin scan in mm; None takes the file's.
        axis: slice axis; None finds it.
        series: DICOM series, where the folder holds several.
        keep_volumes: also write thick.nrrd, thin.nrrd and disagreement.nrrd.
        progress: told (stage, done, total).

    Raises:
        SynthesisError: see errors.REASONS.
    """
    from ..networks.checkpoint import load
    from ..synthesis.devices import choose_device

    device = choose_device(device_name)
    model = load(model_name or default_model(device.type))
    truth = truth_from(files.opened(truth_path, slice_axis=axis, thickness=thickness, series=series), truth_path)
    thick, trimmed = hold_out(truth, factor, profile)
    if profile == "gap" and truth.grid.thickness is None:
        thick = replace(thick, grid=replace(thick.grid, thickness=None))
    plan = make_plan(
        thick.grid,
        thick.voxels.dtype,
        factor=factor,
        recipe=model.recipe,
        accept_isotropic=True,
        precision=precision,
        estimated_thickness=None if thick.grid.thickness else estimate_thickness(thick),
    )
    out = result_folder.made(folder)
    ours = pipeline.synthesize(thick, plan, model, device=device, disagreement=True, progress=progress)
    assert ours.disagreement is not None

    def scored(method: str, done: int, total: int) -> None:
        progress("score", done, total)

    comparison = compare(truth, factor, profile, {OURS: lambda _: ours.volume}, scored)
    progress("score", len(comparison.rows), len(comparison.rows))
    comparison.rows[OURS].update(disagreement_figures(trimmed, ours.volume, ours.disagreement, factor))  # type: ignore[attr-defined]
    cubic = classical.interpolate_volume(thick, factor, "cubic")
    progress("picture", 0, 1)
    comparison_picture(out / "picture.png", thick, cubic, ours.volume, trimmed, ours.disagreement)
    report.write(comparison, out / "report.json")
    report.write(comparison, out / "report.md")
    if keep_volumes:
        for name, volume in _volumes(thick, ours).items():
            files.write(volume, out / name, overwrite=True)
    progress("picture", 1, 1)
    return comparison


def truth_from(scan: files.Scan, path: str) -> Volume:
    """The voxels of a scan that others are measured by: what we made ourselves is no truth.

    Raises:
        SynthesisError: "bad-input".
    """
    if scan.header.origin:
        message = f"{path} is a result of CTSliceSynthesis, and estimates are no truth to measure by"
        raise SynthesisError("bad-input", f"{message}; give a scan.")
    return scan.read()


def _volumes(thick: Volume, ours: pipeline.Result) -> dict[str, Volume]:
    assert ours.disagreement is not None
    return {"thick.nrrd": thick, "thin.nrrd": ours.volume, "disagreement.nrrd": ours.disagreement}
