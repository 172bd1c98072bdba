"""The job "increase": one scan in, one finer scan out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SynthesisError
from ..networks.recipes import PRESETS, Recipe
from ..synthesis import pipeline
from ..synthesis.calibration import remember
from ..synthesis.plan import THREE_VIEW, Plan, available_memory, check_memory, estimate_seconds, make_plan
from ..version import VERSION
from ..volume import files
from ..volume.grid import Grid
from ..volume.volume import Volume
from .events import Emit
from .request import IncreaseRequest

if TYPE_CHECKING:
    import torch

    from ..networks.checkpoint import Model

ESTIMATES = "synthesized slices are estimates; for research use"


def increase(request: IncreaseRequest, emit: Emit) -> dict[str, Any]:
    """Run a request.

    All that can be refused is refused before the voxels are read; outputs appear whole or not at all.

    Args:
        request: what to do.
        emit: told events "started", "remark", "progress" and "result".

    Returns:
        The fields of the result event.

    Raises:
        SynthesisError: see errors.REASONS.
    """
    start = time.monotonic()
    reading: Mapping[str, Any] = {
        "series": request.series,
        "slice_axis": request.axis,
        "thickness": request.thickness,
        "resample_irregular": request.resample_irregular,
    }
    header = files.read_header(request.input, **reading)
    model = _model(request)
    plan = _plan(request, header.grid, header.dtype, model)
    _check_outputs(request, plan)
    check_memory(plan, available_memory())
    emit("started", **_facts(request, plan))
    volume = files.read(request.input, **reading)
    for sentence in (*volume.warnings, *plan.remarks):
        emit("remark", sentence=sentence)
    device = _device(request, emit)
    result = _synthesized(volume, plan, model, device, request.disagreement is not None, emit)
    del volume  # writing needs room for a copy of the result
    emit("progress", stage="write", done=0, total=1)
    _write(request, result, _origin(plan, model))
    emit("progress", stage="write", done=1, total=1)
    fields = {
        "output": request.output,
        "disagreement": request.disagreement,
        **_facts(request, plan),
        "model": model.name if model else None,
        "model_sha256": model.sha256 if model else None,
        "device": str(device or "cpu"),
        "seconds": round(time.monotonic() - start, 2),
    }
    emit("result", **fields)
    return fields


def _synthesized(
    volume: Volume, plan: Plan, model: Model | None, device: torch.device | None, disagreement: bool, emit: Emit
) -> pipeline.Result:
    """The result; how fast it came is remembered for the next estimate."""
    start = time.monotonic()
    result = pipeline.synthesize(
        volume,
        plan,
        model,
        device=device,
        disagreement=disagreement,
        progress=lambda stage, done, total: emit("progress", stage=stage, done=done, total=total),
        say=lambda sentence: emit("remark", sentence=sentence),
    )
    if device is not None:
        remember(device.type, plan.work / (time.monotonic() - start))
    return result


def _model(request: IncreaseRequest) -> Model | None:
    if request.method != THREE_VIEW:
        return None
    try:
        from ..networks.checkpoint import load
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SynthesisError(
            "bad-model",
            "The three-view method needs PyTorch, which is not installed: install it (pip install torch), or take"
            " --method cubic.",
        ) from error
    model = load(request.model)
    if model.failure is not None and not request.accept_failed_model:
        raise SynthesisError(
            "bad-model",
            f"The model {model.name} was measured after its training. {model.failure} Choose another model, or accept it"
            " all the same (--accept-failed-model).",
        )
    return model


def _plan(request: IncreaseRequest, grid: Grid, dtype: np.dtype, model: Model | None) -> Plan:
    recipe: Recipe = model.recipe if model else PRESETS["compact"]
    return make_plan(
        grid,
        dtype,
        factor=request.factor,
        spacing=request.spacing,
        isotropic=request.isotropic,
        method=request.method,
        recipe=recipe,
        disagreement=request.disagreement is not None,
        accept_isotropic=request.accept_isotropic,
    )


def _check_outputs(request: IncreaseRequest, plan: Plan) -> None:
    outputs = [request.output] if request.disagreement is None else [request.output, request.disagreement]
    for path in outputs:
        files.check_writable(path, plan.output_grid, overwrite=request.overwrite, source=request.input)
    if len({Path(path).resolve() for path in outputs}) < len(outputs):
        raise SynthesisError(
            "cannot-write", f"The result and the disagreement are both to be {outputs[0]}: name two files."
        )
    if request.disagreement is not None and request.method != THREE_VIEW:
        raise SynthesisError(
            "bad-option", f"The method {request.method} has no views that could disagree: choose {THREE_VIEW}."
        )


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


def _device(request: IncreaseRequest, emit: Emit) -> torch.device | None:
    """Where the networks are computed; None for a method that has none."""
    if request.method != THREE_VIEW:
        return None
    from ..synthesis.devices import choose_device

    return choose_device(request.device, lambda sentence: emit("remark", sentence=sentence))


def _origin(plan: Plan, model: Model | None) -> dict[str, str]:
    """Where the voxels come from, for the file's header: whoever opens it later must know that they are estimates."""
    origin = {"method": plan.method, "factor": str(plan.factor), "version": VERSION, "note": ESTIMATES}
    if model:
        origin |= {"model": model.name, "model_sha256": model.sha256}
    return {f"CTSliceSynthesis.{key}": value for key, value in origin.items()}


def _write(request: IncreaseRequest, result: pipeline.Result, header: Mapping[str, str]) -> None:
    """Both outputs or none: the one written first goes away when the second fails."""
    if request.disagreement is None or result.disagreement is None:
        files.write(result.volume, request.output, overwrite=request.overwrite, header=header)
        return
    with _taken_back(Path(request.disagreement)):
        header_of_spread = {**header, "CTSliceSynthesis.content": "view disagreement in HU"}
        files.write(result.disagreement, request.disagreement, overwrite=request.overwrite, header=header_of_spread)
        files.write(result.volume, request.output, overwrite=request.overwrite, header=header)


@contextmanager
def _taken_back(path: Path) -> Iterator[None]:
    """Remove a file that was new if what follows fails."""
    existed = path.exists()
    try:
        yield
    except BaseException:
        if not existed:
            path.unlink(missing_ok=True)
        raise
