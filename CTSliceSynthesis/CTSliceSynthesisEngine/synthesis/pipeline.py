"""The whole method in one place: normalize, predict in three views, fuse, restore the acquired slices, convert to HU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import SynthesisError
from ..volume.intensity import HU_MAX, HU_MIN, UNIT_HU, as_voxels, to_hu
from ..volume.volume import Volume
from . import classical, views
from .acquired_slices import AcquiredPlaces, match_acquired
from .options import EVEN, THIN, THREE_VIEW
from .outputs import DISAGREEMENT, EXPECTED_ERROR
from .places import Places
from .plan import Plan
from .stack import UnitStack, suppress_ringing

if TYPE_CHECKING:
    import torch

    from ..networks.checkpoint import Model

_SLAB_VOXELS = 2 << 20  # synthesized voxels held in memory as floats at a time
_MIN_SLABS = 20  # if there are as many gaps, so that progress is visible and a run can be canceled


@dataclass(frozen=True)
class Result:
    """Result of a run.

    Attributes:
        volume: the thin scan, in the input's voxel type.
        outputs: the requested additional volumes by name in OUTPUTS: int16 HU on the same grid, 0 on kept acquired slices.
            DISAGREEMENT: of the three views. EXPECTED_ERROR: expected absolute error of each voxel.
    """

    volume: Volume
    outputs: Mapping[str, Volume] = field(default_factory=dict)


class Reporter(Protocol):
    """Receives progress and messages of a run."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report the progress of a stage. Raising an exception here stops the run."""
        ...

    def say(self, sentence: str) -> None:
        """Report something the user should know, e.g. that the device failed and the run continues on the CPU."""
        ...


class Silent:
    """A reporter that discards everything."""

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
    """Synthesize the volume that `plan` describes.

    New slices lie between the acquired ones: `plan.factor - 1` in each gap, or as computed by `places` if the factor is
    fractional. Acquired slices are copied unchanged, except with `plan.acquired == THIN`, which replaces them by estimates
    of thin slices.

    Args:
        volume: the thick scan, HU.
        plan: made for `volume.grid`.
        model: required for the method "three-view".
        device: for the networks; the CPU by default.
        reporter: receives progress and messages.

    Raises:
        SynthesisError: see `problems`.
    """
    for problem in problems(plan, model):
        raise problem
    slices = views.slices_first(volume.voxels, plan.grid)
    fine = np.empty((plan.output_grid.slice_count, *slices.shape[1:]), volume.voxels.dtype)
    extra = {name: np.zeros(fine.shape, np.int16) for name in plan.outputs}
    if plan.method == THREE_VIEW:
        assert model is not None
        _three_views(slices, plan, model, device, fine, extra, reporter)
    else:
        _classical(slices, plan, fine, reporter)
    return Result(_volume(volume, plan, fine), {name: _volume(volume, plan, array) for name, array in extra.items()})


def problems(plan: Plan, model: Model | None) -> list[SynthesisError]:
    """Return the reasons why `plan` cannot be executed with `model`; empty if there are none."""
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
    extra: Mapping[str, np.ndarray],
    reporter: Reporter,
) -> None:
    from . import (  # these import PyTorch, which only this method needs
        error_volume,
        predict,
        scan_calibration,
        texture,
        view_fusion,
    )

    stack, places = UnitStack(slices), Places(len(slices), plan.factor)
    fill, *fill_extra = (_SliceWriter(array, plan, places, stack.gaps) for array in (fine, *extra.values()))
    extra_fills = dict(zip(extra, fill_extra, strict=True))
    callbacks = reporter.progress, reporter.say
    calibration = None
    if EXPECTED_ERROR in extra:
        calibration = scan_calibration.scan_calibration(model, slices, plan, device, *callbacks)
    predictor = predict.make_predictor(model, stack, plan, device, *callbacks)
    for first, last, positions in _slabs(stack, places, plan):
        reporter.progress("synthesize", first, stack.gaps)
        views_unit = predictor(first, last, positions)
        if extra:
            disagreement_hu = view_fusion.disagreement(views_unit).cpu() * UNIT_HU
        if DISAGREEMENT in extra:
            extra_fills[DISAGREEMENT](disagreement_hu.numpy(), first)
        if calibration is not None:
            neighbors = stack.around(first, last)
            expected_hu = error_volume.expected_errors(calibration, disagreement_hu, neighbors, positions, plan)
            extra_fills[EXPECTED_ERROR](expected_hu, first)
        hu = to_hu(view_fusion.fuse(views_unit, model.fusion).cpu().numpy())
        _check_finite(hu, model)
        if plan.texture == EVEN:
            hu = texture.match_grain(hu, to_hu(stack.around(first, last)), positions)
        fill(suppress_ringing(np.clip(hu, HU_MIN, HU_MAX, out=hu), slices, first, positions), first)
    if plan.acquired == THIN:
        match_acquired(fine, slices, int(plan.factor), plan.relative_thickness)
    else:
        for number, source in places.acquired:
            fine[number] = slices[source]
    reporter.progress("synthesize", stack.gaps, stack.gaps)


def _check_finite(hu: np.ndarray, model: Model) -> None:
    """Reject non-finite results: weights can be damaged in ways that no checksum reveals.

    Raises:
        SynthesisError: "bad-model".
    """
    if not np.isfinite(hu).all():
        message = f"The model {model.name} produces voxels that are not finite numbers"
        raise SynthesisError("bad-model", f"{message}: get it again, or choose another one.")


def _slabs(stack: UnitStack, places: Places, plan: Plan) -> Iterator[tuple[int, int, list[float]]]:
    """Yield the first gap, last gap + 1 and positions of each slab."""
    for start, end, positions in places.alike():
        if plan.acquired == THIN:
            positions = [0.0, *positions, 1.0]
        fitting = max(1, _SLAB_VOXELS // (stack.height * stack.width * len(positions)))
        gaps = min(fitting, -(-stack.gaps // _MIN_SLABS))
        for first in range(start, end, gaps):
            yield first, min(first + gaps, end), positions


class _SliceWriter:
    """Writes synthesized slices (G, P, H, W) of the gaps from `first` on to their places in `fine`.

    If acquired slices are replaced as well, the first and last of the P slices are the estimates at the ends of the gap.
    """

    def __init__(self, fine: np.ndarray, plan: Plan, places: Places, gaps: int) -> None:
        self._fine, self._places, self._gaps = fine, places, gaps
        self._acquired = AcquiredPlaces(fine, int(plan.factor)) if plan.acquired == THIN else None

    def __call__(self, images: np.ndarray, first: int) -> None:
        if self._acquired is not None:
            self._acquired.put(first, self._gaps, images[:, 0], images[:, -1])
            images = images[:, 1:-1]
        for gap, new_slices in enumerate(as_voxels(images, self._fine.dtype), start=first):
            self._fine[self._places.new(gap)] = new_slices


def _classical(slices: np.ndarray, plan: Plan, fine: np.ndarray, reporter: Reporter) -> None:
    classical.interpolate_into(slices, plan.factor, plan.method, fine, reporter.progress)
    places = Places(len(slices), plan.factor)
    for gap in range(len(slices) - 1):
        numbers = places.new(gap)
        new = suppress_ringing(fine[numbers][None].astype(np.float32), slices, gap, places.positions(gap))
        fine[numbers] = as_voxels(new[0], fine.dtype)
