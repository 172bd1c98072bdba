"""The story on one screen: slices to unit range; predict in three views; fuse; put the acquired slices back; to HU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SynthesisError
from ..volume.intensity import HU_MAX, HU_MIN, UNIT_HU, as_voxels, to_hu
from ..volume.volume import Volume
from . import classical, views
from .acquired_slices import AcquiredPlaces, agree
from .plan import ESTIMATE, EVEN, TEXTURES, THIN, THREE_VIEW, Plan
from .stack import UnitStack, guarded

if TYPE_CHECKING:
    import torch

    from ..networks.checkpoint import Model

Progress = Callable[[str, int, int], None]
"""Told (stage, done, total). Raising in it stops the run."""

_SLAB_VOXELS = 2 << 20  # new voxels that are in memory as floats at a time
_LEAST_SLABS = 20  # so that progress can be seen, and a run can be canceled


@dataclass(frozen=True)
class Result:
    """What a run gives.

    Attributes:
        volume: the thin scan, in the input's voxel type.
        disagreement: int16 HU on the same grid, how far the three views differ; 0 on slices that were kept. None if not asked.
        expected_error: int16 HU on the same grid, how wrong a voxel is likely to be; 0 on slices that were kept. None if not
            asked.
    """

    volume: Volume
    disagreement: Volume | None = None
    expected_error: Volume | None = None


def synthesize(
    volume: Volume,
    plan: Plan,
    model: Model | None = None,
    *,
    device: torch.device | None = None,
    disagreement: bool = False,
    expected_error: bool = False,
    texture: str = ESTIMATE,
    progress: Progress = lambda stage, done, total: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """Make the volume that `plan` describes.

    New slices lie between the acquired ones, `plan.factor - 1` in each gap. Acquired slices come back bit for bit, unless
    `plan.acquired` has them thinned as well.

    Args:
        volume: the thick scan, HU.
        plan: made from `volume.grid`.
        model: for the method "three-view".
        device: where its networks are computed; the CPU by default.
        disagreement: also return the views' disagreement ("three-view" only).
        expected_error: also return the expected error ("three-view" only, with a model that has been calibrated).
        texture: ESTIMATE, or EVEN for the grain of the acquired slices ("three-view" only), see `texture`.
        progress: see Progress.
        say: gets a sentence when the device fails and the CPU goes on.

    Raises:
        SynthesisError: see `problems`.
    """
    for problem in problems(plan, model, disagreement, expected_error, texture):
        raise problem
    slices = views.slices_first(volume.voxels, plan.grid)
    fine = np.empty(((len(slices) - 1) * plan.factor + 1, *slices.shape[1:]), volume.voxels.dtype)
    spread, error = (np.zeros(fine.shape, np.int16) if wanted else None for wanted in (disagreement, expected_error))
    if plan.method == THREE_VIEW:
        assert model is not None
        _three_views(slices, plan, model, device, fine, spread, error, texture, progress, say)
    else:
        _classical(slices, plan, fine, progress)
    return Result(*(None if made is None else _volume(volume, plan, made) for made in (fine, spread, error)))  # type: ignore[arg-type]


def problems(
    plan: Plan, model: Model | None, disagreement: bool, expected_error: bool, texture: str
) -> list[SynthesisError]:
    """Why a plan cannot be carried out so; empty when all is well."""
    if texture not in TEXTURES:
        return [SynthesisError("bad-option", f"The texture is one of {', '.join(TEXTURES)}, not {texture!r}.")]
    if plan.method != THREE_VIEW:
        wanted = (
            (disagreement, "has no views that could disagree"),
            (expected_error, "cannot tell its errors"),
            (texture != ESTIMATE, "has no even texture"),
        )
        reasons = [reason for asked, reason in wanted if asked]
        return [SynthesisError("bad-option", f"{plan.method} {reason}: choose {THREE_VIEW}.") for reason in reasons]
    if model is None:
        return [SynthesisError("bad-model", "The three-view method needs a model: give one, or choose cubic.")]
    if expected_error and model.expected_error is None:
        message = (
            f"The model {model.name} cannot tell its errors: it was never calibrated; choose another, or train it anew."
        )
        return [SynthesisError("bad-model", message)]
    return []


def _volume(volume: Volume, plan: Plan, slices: np.ndarray) -> Volume:
    return replace(volume, voxels=views.file_order(slices, plan.output_grid), grid=plan.output_grid)


def _three_views(
    slices: np.ndarray,
    plan: Plan,
    model: Model,
    device: torch.device | None,
    fine: np.ndarray,
    spread: np.ndarray | None,
    error: np.ndarray | None,
    texture: str,
    progress: Progress,
    say: Callable[[str], None],
) -> None:
    from . import (
        error_volume as expected_error,
    )  # with PyTorch: only this method needs it
    from . import (
        predict,
    )
    from . import (
        scan_calibration as own_slices,
    )
    from . import (
        view_fusion as fusion,
    )
    from .texture import even

    stack = UnitStack(slices)
    positions = [step / plan.factor for step in range(1, plan.factor)]
    if plan.acquired == THIN:
        positions = [0.0, *positions, 1.0]
    put, put_spread, put_error = (
        None if volume is None else _Filling(volume, plan, stack.gaps) for volume in (fine, spread, error)
    )
    assert put is not None
    calibration = None if error is None else own_slices.scan_calibration(model, slices, plan, device, progress, say)
    predictor = predict.predictor(model, stack, plan, device, progress, say)
    for first, last in _slabs(stack, len(positions)):
        progress("synthesize", first, stack.gaps)
        answers = predictor(first, last, positions)
        if put_spread or put_error:
            differing = fusion.disagreement(answers).cpu() * UNIT_HU
            if put_spread:
                put_spread(differing.numpy(), first)
            if put_error and calibration is not None:
                around = stack.around(first, last)
                put_error(expected_error.expected_errors(calibration, differing, around, positions, plan), first)
        hu = to_hu(fusion.fuse(answers, model.fusion).cpu().numpy())
        _check_finite(hu, model)
        if texture == EVEN:
            hu = even(hu, to_hu(stack.around(first, last)), positions)
        put(guarded(np.clip(hu, HU_MIN, HU_MAX, out=hu), slices, first, positions), first)
    if plan.acquired == THIN:
        agree(fine, slices, plan.factor, plan.relative_thickness)
    else:
        fine[:: plan.factor] = slices
    progress("synthesize", stack.gaps, stack.gaps)


def _check_finite(hu: np.ndarray, model: Model) -> None:
    """No result leaves that is no number: weights can be damaged where no checksum tells.

    Raises:
        SynthesisError: "bad-model".
    """
    if not np.isfinite(hu).all():
        message = f"The model {model.name} gives voxels that are no numbers"
        raise SynthesisError("bad-model", f"{message}: get it again, or take another one.")


def _slabs(stack: UnitStack, new_slices: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 gap of each slab."""
    fitting = max(1, _SLAB_VOXELS // (stack.height * stack.width * new_slices))
    gaps = min(fitting, -(-stack.gaps // _LEAST_SLABS))
    for first in range(0, stack.gaps, gaps):
        yield first, min(first + gaps, stack.gaps)


class _Filling:
    """Writes new slices (G, P, H, W) of the gaps from `first` on, gap after gap, into their places in `fine`.

    Where acquired slices are thinned as well, P begins and ends with the estimates at both ends of a gap.
    """

    def __init__(self, fine: np.ndarray, plan: Plan, gaps: int) -> None:
        self._fine, self._factor, self._gaps = fine, plan.factor, gaps
        self._places = AcquiredPlaces(fine, plan.factor) if plan.acquired == THIN else None

    def __call__(self, images: np.ndarray, first: int) -> None:
        if self._places is not None:
            self._places.put(first, self._gaps, images[:, 0], images[:, -1])
            images = images[:, 1:-1]
        for gap, some in enumerate(as_voxels(images, self._fine.dtype), start=first):
            self._fine[gap * self._factor + 1 : (gap + 1) * self._factor] = some


def _classical(slices: np.ndarray, plan: Plan, fine: np.ndarray, progress: Progress) -> None:
    classical.interpolate_into(slices, plan.factor, plan.method, fine, progress)
    positions = [step / plan.factor for step in range(1, plan.factor)]
    for gap in range(len(slices) - 1):
        inside = slice(gap * plan.factor + 1, (gap + 1) * plan.factor)
        new = guarded(fine[inside][None].astype(np.float32), slices, gap, positions)
        fine[inside] = as_voxels(new[0], fine.dtype)
