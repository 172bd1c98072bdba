"""The story on one screen: slices to unit range; predict in three views; fuse; put the acquired slices back; to HU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import SynthesisError
from ..volume.intensity import HU_MAX, HU_MIN, UNIT_HU, as_voxels, to_hu
from ..volume.volume import Volume
from . import classical, views
from .acquired_slices import AcquiredPlaces, agree
from .options import EVEN, THIN, THREE_VIEW
from .outputs import DISAGREEMENT, EXPECTED_ERROR
from .places import Places
from .plan import Plan
from .stack import UnitStack, guarded

if TYPE_CHECKING:
    import torch

    from ..networks.checkpoint import Model

_SLAB_VOXELS = 2 << 20  # new voxels that are in memory as floats at a time
_LEAST_SLABS = 20  # so that progress can be seen, and a run can be canceled


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        volume: the thin scan, in the input's voxel type.
        outputs: what was asked for beside it, by its name in OUTPUTS: int16 HU on the same grid, 0 on slices that were kept.
            DISAGREEMENT: how far the three views differ. EXPECTED_ERROR: how wrong a voxel is likely to be.
    """

    volume: Volume
    outputs: Mapping[str, Volume] = field(default_factory=dict)


class Reporter(Protocol):
    """Receives the progress and the remarks of a run."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is. Raising here stops the run."""
        ...

    def say(self, sentence: str) -> None:
        """What the user should know, as when the device fails and the CPU goes on."""
        ...


class Silent:
    """A reporter that tells nobody."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """See `Reporter`."""

    def say(self, sentence: str) -> None:
        """See `Reporter`."""


_SILENT = Silent()


def synthesize(
    volume: Volume,
    plan: Plan,
    model: Model | None = None,
    *,
    device: torch.device | None = None,
    reporter: Reporter = _SILENT,
) -> Result:
    """Make the volume that `plan` describes.

    New slices lie between the acquired ones: `plan.factor - 1` in each gap, or where `places` puts them if the factor is not a
    whole number. Acquired slices are copied unchanged; only with `plan.acquired == THIN` estimates of thin slices take their
    places.

    Args:
        volume: the thick scan, HU.
        plan: made from `volume.grid`.
        model: for the method "three-view".
        device: where its networks are computed; the CPU by default.
        reporter: receives progress and remarks.

    Raises:
        SynthesisError: see `problems`.
    """
    for problem in problems(plan, model):
        raise problem
    slices = views.slices_first(volume.voxels, plan.grid)
    fine = np.empty((plan.output_grid.slice_count, *slices.shape[1:]), volume.voxels.dtype)
    beside = {name: np.zeros(fine.shape, np.int16) for name in plan.outputs}
    if plan.method == THREE_VIEW:
        assert model is not None
        _three_views(slices, plan, model, device, fine, beside, reporter)
    else:
        _classical(slices, plan, fine, reporter)
    return Result(_volume(volume, plan, fine), {name: _volume(volume, plan, made) for name, made in beside.items()})


def problems(plan: Plan, model: Model | None) -> list[SynthesisError]:
    """Why a plan cannot be carried out with a model; empty when all is well."""
    if plan.method != THREE_VIEW:
        return []
    if model is None:
        return [SynthesisError("bad-model", "The three-view method needs a model: give one, or choose cubic.")]
    if EXPECTED_ERROR in plan.outputs and model.expected_error is None:
        message = f"The model {model.name} cannot estimate its errors: it was never calibrated"
        return [SynthesisError("bad-model", f"{message}; choose another, or train it again.")]
    return []


def _volume(volume: Volume, plan: Plan, slices: np.ndarray) -> Volume:
    return replace(volume, voxels=views.file_order(slices, plan.output_grid), grid=plan.output_grid)


def _three_views(
    slices: np.ndarray,
    plan: Plan,
    model: Model,
    device: torch.device | None,
    fine: np.ndarray,
    beside: Mapping[str, np.ndarray],
    reporter: Reporter,
) -> None:
    from . import (  # with PyTorch: only this method needs it
        error_volume,
        predict,
        scan_calibration,
        texture,
        view_fusion,
    )

    stack, places = UnitStack(slices), Places(len(slices), plan.factor)
    put, *put_beside = (_Filling(made, plan, places, stack.gaps) for made in (fine, *beside.values()))
    fillings = dict(zip(beside, put_beside, strict=True))
    telling = reporter.progress, reporter.say
    calibration = None
    if EXPECTED_ERROR in beside:
        calibration = scan_calibration.scan_calibration(model, slices, plan, device, *telling)
    predictor = predict.predictor(model, stack, plan, device, *telling)
    for first, last, positions in _slabs(stack, places, plan):
        reporter.progress("synthesize", first, stack.gaps)
        answers = predictor(first, last, positions)
        if beside:
            differing = view_fusion.disagreement(answers).cpu() * UNIT_HU
        if DISAGREEMENT in beside:
            fillings[DISAGREEMENT](differing.numpy(), first)
        if calibration is not None:
            around = stack.around(first, last)
            expected = error_volume.expected_errors(calibration, differing, around, positions, plan)
            fillings[EXPECTED_ERROR](expected, first)
        hu = to_hu(view_fusion.fuse(answers, model.fusion).cpu().numpy())
        _check_finite(hu, model)
        if plan.texture == EVEN:
            hu = texture.even(hu, to_hu(stack.around(first, last)), positions)
        put(guarded(np.clip(hu, HU_MIN, HU_MAX, out=hu), slices, first, positions), first)
    if plan.acquired == THIN:
        agree(fine, slices, int(plan.factor), plan.relative_thickness)
    else:
        for number, source in places.acquired:
            fine[number] = slices[source]
    reporter.progress("synthesize", stack.gaps, stack.gaps)


def _check_finite(hu: np.ndarray, model: Model) -> None:
    """No result leaves that is no number: weights can be damaged where no checksum tells.

    Raises:
        SynthesisError: "bad-model".
    """
    if not np.isfinite(hu).all():
        message = f"The model {model.name} gives voxels that are not numbers"
        raise SynthesisError("bad-model", f"{message}: get it again, or take another one.")


def _slabs(stack: UnitStack, places: Places, plan: Plan) -> Iterator[tuple[int, int, list[float]]]:
    """First gap, last gap + 1 and positions of each slab."""
    for start, end, positions in places.alike():
        if plan.acquired == THIN:
            positions = [0.0, *positions, 1.0]
        fitting = max(1, _SLAB_VOXELS // (stack.height * stack.width * len(positions)))
        gaps = min(fitting, -(-stack.gaps // _LEAST_SLABS))
        for first in range(start, end, gaps):
            yield first, min(first + gaps, end), positions


class _Filling:
    """Writes new slices (G, P, H, W) of the gaps from `first` on, gap after gap, into their places in `fine`.

    Where acquired slices are thinned as well, P begins and ends with the estimates at both ends of a gap.
    """

    def __init__(self, fine: np.ndarray, plan: Plan, places: Places, gaps: int) -> None:
        self._fine, self._places, self._gaps = fine, places, gaps
        self._acquired = AcquiredPlaces(fine, int(plan.factor)) if plan.acquired == THIN else None

    def __call__(self, images: np.ndarray, first: int) -> None:
        if self._acquired is not None:
            self._acquired.put(first, self._gaps, images[:, 0], images[:, -1])
            images = images[:, 1:-1]
        for gap, some in enumerate(as_voxels(images, self._fine.dtype), start=first):
            self._fine[self._places.new(gap)] = some


def _classical(slices: np.ndarray, plan: Plan, fine: np.ndarray, reporter: Reporter) -> None:
    classical.interpolate_into(slices, plan.factor, plan.method, fine, reporter.progress)
    places = Places(len(slices), plan.factor)
    for gap in range(len(slices) - 1):
        inside = places.new(gap)
        new = guarded(fine[inside][None].astype(np.float32), slices, gap, places.positions(gap))
        fine[inside] = as_voxels(new[0], fine.dtype)
