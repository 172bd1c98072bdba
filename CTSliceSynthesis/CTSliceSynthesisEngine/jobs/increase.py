"""The job "increase": increase the slice resolution of one scan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SynthesisError
from ..networks.recipes import PRESETS, Recipe
from ..networks.registry import default_model
from ..synthesis import pipeline
from ..synthesis.options import ESTIMATE, THREE_VIEW, SynthesisOptions
from ..synthesis.outputs import EXPECTED_ERROR, OUTPUTS
from ..synthesis.plan import Plan, available_memory, check_memory, estimate_seconds, make_plan
from ..synthesis.run_time import remember
from ..version import VERSION
from ..volume import files
from ..volume.dicom.dicom_template import Template
from ..volume.grid import Grid
from ..volume.intensity import looks_like_hu
from ..volume.thickness import estimate_thickness
from ..volume.volume import Volume
from . import dicom_output
from .events import Emit, EventReporter
from .increase_request import DICOM, IncreaseRequest
from .label_output import labels_of, transferred_labels
from .provenance import marks

if TYPE_CHECKING:
    import torch

    from ..networks.checkpoint import Model

ESTIMATES = "synthesized slices are estimates; for research use"


def increase(request: IncreaseRequest, emit: Emit) -> dict[str, Any]:
    """Run a request.

    All checks that are possible without the voxels come first; outputs are written atomically.

    Args:
        request: the request.
        emit: receives the events "started", "remark", "progress" and "result".

    Returns:
        The fields of the result event.

    Raises:
        SynthesisError: see errors.REASONS.
    """
    start = time.monotonic()
    dicom_output.check_format(request)
    reading: Mapping[str, Any] = {
        "series": request.series,
        "slice_axis": request.axis,
        "thickness": request.thickness,
        "resample_irregular": request.resample_irregular,
    }
    scan = files.open_scan(request.input, **reading)
    header = scan.header
    _check_is_scan(request, header)
    device_remarks: list[str] = []
    device = _device(request, device_remarks)
    model = _model(request, device)
    plan = _plan(request, header.grid, header.dtype, model)
    for problem in pipeline.problems(plan, model):
        raise problem
    template = _check_outputs(request, scan, plan)
    check_memory(plan, available_memory())
    marks_of_source = marks(request)  # before the synthesis, so that a change of the scan meanwhile is detected
    labels = labels_of(request, plan)
    emit("started", **_facts(request, plan))
    volume = scan.read()
    _check_is_ct(request, volume)
    if volume.grid.thickness is None and request.method == THREE_VIEW:
        plan = _plan(request, header.grid, header.dtype, model, estimate_thickness(volume))
    for sentence in (*device_remarks, *volume.warnings, *plan.remarks):
        emit("remark", sentence=sentence)
    result = _synthesize(request, volume, plan, model, device, emit)
    del volume  # writing needs memory for a copy of the result
    emit("progress", stage="write", done=0, total=1)
    origin = _origin(request, plan, model, device) | marks_of_source
    if template is not None:
        dicom_output.write(request, result, origin, template, scan, plan)
    else:
        parts = _parts(request, result, {f"{files.ORIGIN}{key}": value for key, value in origin.items()})
        label_parts = [] if labels is None else [transferred_labels(request, labels, plan, emit)]
        files.write_together([*parts, *label_parts], overwrite=request.overwrite)
    emit("progress", stage="write", done=1, total=1)
    fields = _result_fields(request, plan, model, device) | {"seconds": round(time.monotonic() - start, 2)}
    emit("result", **fields)
    return fields


def _result_fields(
    request: IncreaseRequest, plan: Plan, model: Model | None, device: torch.device | None
) -> dict[str, Any]:
    """The fields of the result event."""
    return {
        "output": request.output,
        "outputs": request.outputs,
        "output_labels": request.output_labels,
        "texture": request.texture,
        "acquired": plan.acquired,
        **_facts(request, plan),
        "model": model.name if model else None,
        "model_sha256": model.sha256 if model else None,
        "device": str(device or "cpu"),
        "precision": _precision(request, device),
    }


def _check_is_scan(request: IncreaseRequest, header: files.Header) -> None:
    """Refuse inputs that were derived from a scan."""
    if "content" in header.origin:
        message = f"The file {request.input} holds the {header.origin['content']}, made by CTSliceSynthesis"
        raise SynthesisError("not-ct" if request.only_ct else "bad-input", f"{message}; give a scan.")
    if request.only_ct and header.origin:
        raise SynthesisError("not-ct", f"{request.input} is a result of CTSliceSynthesis already; give its scan.")


def _check_is_ct(request: IncreaseRequest, volume: Volume) -> None:
    """With `only_ct`, as in batches, refuse inputs that do not look like a CT."""
    if request.only_ct and not looks_like_hu(volume.voxels):
        value_range = f"its values go from {volume.voxels.min():g} to {volume.voxels.max():g}"
        message = f"{request.input} does not look like a CT: {value_range}"
        raise SynthesisError("not-ct", f"{message}; if it is one, increase it alone.")


def _synthesize(
    request: IncreaseRequest,
    volume: Volume,
    plan: Plan,
    model: Model | None,
    device: torch.device | None,
    emit: Emit,
) -> pipeline.Result:
    """Synthesize the result; record the speed for later time estimates."""
    start = time.monotonic()
    result = pipeline.synthesize(
        volume,
        plan,
        model,
        device=device,
        reporter=EventReporter(emit),
    )
    if (
        device is not None and EXPECTED_ERROR not in plan.outputs
    ):  # the expected error takes extra work that the plan does not include
        remember(device.type, plan.work, time.monotonic() - start)
    return result


def _model(request: IncreaseRequest, device: torch.device | None) -> Model | None:
    if device is None:
        return None
    from ..networks.checkpoint import load

    model = load(request.model or default_model(device.type))
    if model.failure is not None and not request.accept_failed_model:
        raise SynthesisError(
            "bad-model",
            f"The model {model.name} was measured after its training. {str(model.failure).rstrip('.')}",
            "accept-failed-model",
        )
    return model


def _plan(
    request: IncreaseRequest, grid: Grid, dtype: np.dtype, model: Model | None, estimated_thickness: float | None = None
) -> Plan:
    recipe: Recipe = model.recipe if model else PRESETS["compact"]
    options = SynthesisOptions(
        factor=request.factor,
        spacing=request.spacing,
        isotropic=request.isotropic,
        exact=request.exact,
        method=request.method,
        acquired=request.acquired,
        texture=request.texture,
        outputs=tuple(request.outputs),
        precision=request.precision,
        accept_isotropic=request.accept_isotropic,
    )
    return make_plan(grid, dtype, options, recipe=recipe, estimated_thickness=estimated_thickness)


def _check_outputs(request: IncreaseRequest, scan: files.Scan, plan: Plan) -> Template | None:
    """Refuse outputs that cannot be written; return the template of a DICOM series if that is the format."""
    if request.format == DICOM:
        return dicom_output.template(request, scan, plan)
    outputs = [request.output, *request.outputs.values(), *([request.output_labels] if request.output_labels else [])]
    for path in outputs:
        for source in (request.input, request.labels):
            files.check_writable(path, plan.output_grid, overwrite=request.overwrite, source=source)
    places = [Path(path).resolve() for path in outputs]
    duplicates = [path for path, place in zip(outputs, places, strict=True) if places.count(place) > 1]
    if duplicates:
        raise SynthesisError(
            "cannot-write", f"Two of the outputs have the same path {duplicates[0]}: give each its own."
        )
    return None


def _facts(request: IncreaseRequest, plan: Plan) -> dict[str, Any]:
    return {
        "job": "increase",
        "method": plan.method,
        "factor": plan.factor,
        "size": list(plan.output_grid.size),
        "slice_spacing": plan.output_grid.slice_spacing,
        "memory_bytes": plan.memory_bytes,
        "estimated_seconds": round(estimate_seconds(plan), 1),
    }


def _device(request: IncreaseRequest, device_remarks: list[str]) -> torch.device | None:
    """Return the device for the networks; None for a classical method.

    Args:
        device_remarks: receives a message if a listed device does not work.
    """
    if request.method != THREE_VIEW:
        return None
    try:
        from ..synthesis.devices import choose_device
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SynthesisError(
            "bad-model",
            "The three-view method needs PyTorch, which is not installed",
            "install-pytorch",
        ) from error
    return choose_device(request.device, device_remarks.append)


def _precision(request: IncreaseRequest, device: torch.device | None) -> str | None:
    """Return the name of the networks' precision; None for a classical method."""
    if device is None:
        return None
    from ..synthesis.devices import choose_precision

    return str(choose_precision(device, request.precision)).removeprefix("torch.")


def _origin(request: IncreaseRequest, plan: Plan, model: Model | None, device: torch.device | None) -> dict[str, str]:
    """Return the provenance for the file header: anyone who opens it later must know that it contains estimates."""
    origin = {"method": plan.method, "factor": f"{plan.factor:.10g}", "slice_axis": "ijk"[plan.grid.slice_axis]}
    origin |= {"version": VERSION, "note": ESTIMATES}
    if model:
        origin |= {"model": model.name, "model_sha256": model.sha256, "device": str(device)}
        origin |= {"precision": str(_precision(request, device)), "acquired": plan.acquired}
    if request.texture != ESTIMATE:
        origin |= {"texture": request.texture}
    return origin


def _parts(
    request: IncreaseRequest, result: pipeline.Result, header: Mapping[str, str]
) -> list[tuple[Volume, str, Mapping[str, str]]]:
    """Return the result and the additional outputs, each with its file and header."""
    extras = [
        (volume, request.outputs[name], {**header, f"{files.ORIGIN}content": OUTPUTS[name].content})
        for name, volume in result.outputs.items()
    ]
    return [(result.volume, request.output, header), *extras]
