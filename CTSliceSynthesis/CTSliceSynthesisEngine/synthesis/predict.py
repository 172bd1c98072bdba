"""New slices from trained networks, in three views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..networks.checkpoint import Model
from ..networks.folded_network import FoldedGapNetwork
from ..networks.gap_network import AxialNetwork, centred, condition, cubic_weights, placed, proposed
from ..networks.recipes import AXIAL_READS, NEIGHBOURS, CompactRecipe
from . import views
from .devices import choose_precision, gaps_at_once
from .options import AUTO
from .plan import Plan
from .stack import UnitStack
from .tiles import tiles

TILE = 1024
"""Largest edge, in pixels, of what the networks see at once."""

SMALLEST_TILE = 128

BAND = 128
"""Rows (or columns) that a network sees at once where it looks along the other axis only: features of one fit a cache."""

Progress = Callable[[str, int, int], None]
Say = Callable[[str], None]


class Predictor(Protocol):
    """Fills the gaps of one stack."""

    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """New slices of gaps first ... last - 1: (3, last - first, len(positions), H, W), unit range, in `views.VIEWS`."""
        ...


def predictor(
    model: Model,
    stack: UnitStack,
    plan: Plan,
    device: torch.device | None,
    progress: Progress,
    say: Say = lambda sentence: None,
) -> Predictor:
    """The predictor for a model's recipe."""
    device = device or torch.device("cpu")
    if isinstance(model.recipe, CompactRecipe):
        return CarefulPredictor(model, stack, conditions(plan), device, say, plan.precision)
    from .predict_planes import PlanePredictor

    return PlanePredictor(model, stack, device, progress)


def conditions(plan: Plan) -> list[list[float]]:
    """What the networks are told of the scan, for each of `views.VIEWS`."""
    rows, columns = views.row_column_spacing(plan.grid)
    return [
        condition(plan.grid.slice_distance, pixel, plan.grid.thickness, plan.output_thickness)
        for pixel in ((rows * columns) ** 0.5, columns, rows)
    ]


class CarefulPredictor:
    """A `GapPredictor` that goes on with less when the device's memory runs out, and on the CPU when the device fails.

    Args:
        model, told, device: as in `GapPredictor`.
        stack: the acquired slices.
        say: gets a sentence when the device is given up.
        precision: one of `plan.PRECISIONS`.
    """

    def __init__(
        self,
        model: Model,
        stack: UnitStack,
        told: Sequence[Sequence[float]],
        device: torch.device,
        say: Say,
        precision: str = AUTO,
    ) -> None:
        self._model, self._stack, self._told, self._say, self._precision = model, stack, told, say, precision
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self._device = device
        self._predictor = GapPredictor(self._model, self._told, device, choose_precision(device, self._precision))

    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """See `Predictor`."""
        while True:
            try:
                return self._predictor(self._moved(torch.from_numpy(self._stack.around(first, last))), positions)
            except RuntimeError as error:  # running out of memory is one
                if self._device.type == "cpu":
                    raise
                if not (isinstance(error, torch.cuda.OutOfMemoryError) and self._predictor.shrink()):
                    self._give_up((str(error).splitlines() or ["no reason given"])[0][:160])

    def _moved(self, slices: Tensor) -> Tensor:
        """The slices on the device."""
        if self._device.type == "cuda":
            slices = slices.pin_memory()  # page-locked memory is copied while the card computes
        return slices.to(self._device, non_blocking=True)

    def _give_up(self, reason: str) -> None:
        self._say(f"The device {self._device} failed ({reason}); the CPU goes on from here.")
        self._use(torch.device("cpu"))


class GapPredictor:
    """Fills gaps with the networks of a compact recipe.

    Args:
        model: trained networks.
        told: conditions of the scan, for each of `views.VIEWS`; see `gap_network.condition`.
        device, dtype: where and in which precision the convolutions are computed; all else is float32.
        tile: largest edge in pixels of what is computed at once, along axes that a network looks along.
    """

    def __init__(
        self,
        model: Model,
        told: Sequence[Sequence[float]],
        device: torch.device,
        dtype: torch.dtype,
        tile: int = TILE,
    ) -> None:
        self._model, self._told, self._device, self._dtype, self._tile = model, told, device, dtype, tile
        self._largest_batch: int | None = None
        self._positions: tuple[float, ...] = ()
        self._planes: list[FoldedGapNetwork] = []
        self._axial: list[FoldedGapNetwork] = []

    def shrink(self) -> bool:
        """Compute less at once from now on: half the gaps, then half the tile. False when there is nothing to halve."""
        if self._largest_batch != 1:
            self._largest_batch = max(1, (self._largest_batch or 16) // 2)
            return True
        self._tile //= 2
        return self._tile >= SMALLEST_TILE

    @torch.inference_mode()
    def __call__(self, slices: Tensor, positions: Sequence[float]) -> Tensor:
        """New slices.

        Networks know up from down only as well as they have learned to. So every gap is filled as `turned` says, and a
        stack that is turned over gives the same new slices, turned over, to the last bit.

        Args:
            slices: (G + 3, H, W) float32 unit range: one slice before the first of G gaps, one after the last.
            positions: of the new slices in each gap, from 0 to 1.

        Returns:
            (3, G, len(positions), H, W) float32 unit range, views in the order of `views.VIEWS`.
        """
        gaps, height, width = len(slices) - NEIGHBOURS + 1, *slices.shape[1:]
        answers = slices.new_empty(len(views.VIEWS), gaps, len(positions), height, width)
        batch = gaps_at_once(self._device, height * width, self._largest_batch)
        over = turned(slices)
        for way in (False, True):
            chosen = [gap for gap in range(gaps) if over[gap] == way]
            if not chosen:
                continue
            self._fold(tuple(1 - t for t in reversed(positions)) if way else tuple(positions))
            for first in range(
                0, len(chosen), batch
            ):  # few gaps at once: from the first sum to the last they stay in the cache
                some = chosen[first : first + batch]
                found = self._filled(torch.stack([_gap(slices, gap, way) for gap in some]))
                answers[:, some] = found.flip(2) if way else found
        return answers

    def _fold(self, positions: tuple[float, ...]) -> None:
        """Make the networks ready for these positions; once a scan, since they are the same for every gap."""
        positions = tuple(round(t, 9) for t in positions)  # thirds from below and from above are the same places
        if positions == self._positions:
            return
        axial, planes = (self._model.networks[view] for view in ("axial", "through_plane"))
        place = self._device, self._dtype
        self._planes = [
            FoldedGapNetwork(planes, told, positions, *place, exchanged)
            for told, exchanged in zip(self._told[1:], (False, True), strict=True)
        ]
        if isinstance(axial, AxialNetwork):
            self._axial = [FoldedGapNetwork(axial, [*self._told[0], *placed(t)], [t], *place) for t in positions]
        else:
            self._axial = [FoldedGapNetwork(axial, self._told[0], positions, *place)]
        self._positions = positions

    def _filled(self, slices: Tensor) -> Tensor:
        """New slices (3, B, P, H, W) of B gaps, from the slices around each, (B, 4, H, W) unit range."""
        batch, _, *plane = slices.shape
        answers = slices.new_empty(len(views.VIEWS), batch, len(self._positions), *plane)
        cubic = interpolated(slices, cubic_weights(torch.tensor(self._positions)))
        read = slices.new_empty(batch, *plane, AXIAL_READS, dtype=self._dtype)
        read[..., :NEIGHBOURS] = centred(slices).permute(0, 2, 3, 1)
        neighbours = read[..., :NEIGHBOURS].clone(
            memory_format=torch.contiguous_format
        )  # words of it are looked at later
        for answer, network in zip(answers[1:], self._planes, strict=True):
            self._add_residuals(network, neighbours, cubic, answer)
        if not isinstance(self._model.networks["axial"], AxialNetwork):
            self._add_residuals(self._axial[0], neighbours, cubic, answers[0])
            return answers
        for p, network in enumerate(self._axial):
            coronal, sagittal = answers[1:, :, p]
            read[..., NEIGHBOURS:] = proposed(coronal, sagittal, dim=-1)
            mean = ((coronal + sagittal) / 2)[:, None]
            self._add_residuals(network, read, mean, answers[0, :, p : p + 1])
        return answers

    def _add_residuals(self, network: FoldedGapNetwork, images: Tensor, known: Tensor, answer: Tensor) -> None:
        """answer = known + residual, tile by tile.

        Args:
            images: (B, H, W, 4 or more) as the network wants them.
            known: (B, P, H, W) unit range: what the residual is on.
            answer: (B, P, H, W), written.
        """
        for tile in tiles(known.shape[2:], self._edges(network.reach), network.reach, network.patch):
            (rows, columns), inner = tile.target, (slice(None), *tile.inner)
            residuals = network(_padded(images[:, tile.source[0], tile.source[1]], network.patch))
            for p, residual in enumerate(residuals):
                torch.add(known[:, p, rows, columns], residual[inner], out=answer[:, p, rows, columns])

    def _edges(self, reach: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of a tile: bands along axes that the network does not look along, for they need no halo."""
        on_cpu = self._device.type == "cpu"
        rows, columns = (min(BAND, self._tile) if halo == 0 and on_cpu else self._tile for halo in reach)
        return rows, columns


def turned(slices: Tensor) -> list[bool]:
    """Which gaps of slices (G + 3, H, W) are filled with the stack turned over: those whose upper slice is the brighter one.

    It hangs on the slices of a gap alone, not on their order; where they tell nothing, the ones farther out do.
    """
    sums = slices.sum(dim=(1, 2), dtype=torch.float64).tolist()
    return [(c, d) > (b, a) for a, b, c, d in zip(sums, sums[1:], sums[2:], sums[3:], strict=False)]


def _gap(slices: Tensor, gap: int, over: bool) -> Tensor:
    """The four slices around a gap, the last one first where the stack is turned over."""
    around = slices[gap : gap + NEIGHBOURS]
    return around.flip(0) if over else around


def interpolated(slices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of four neighbouring slices: (B, 4, H, W) and (P, 4) -> (B, P, H, W)."""
    out = slices.new_empty(len(slices), len(weights), *slices.shape[2:])
    for p, row in enumerate(weights.tolist()):
        torch.mul(slices[:, 0], row[0], out=out[:, p])
        for n in range(1, NEIGHBOURS):
            out[:, p].add_(slices[:, n], alpha=row[n])
    return out


def _padded(images: Tensor, patch: tuple[int, int]) -> Tensor:
    """Repeat the last row and column of (B, H, W, C) up to a multiple of the patch."""
    for axis, step in zip((1, 2), patch, strict=True):
        size = images.shape[axis]
        if size % step:
            missing = images.narrow(axis, size - 1, 1).repeat_interleave(-size % step, dim=axis)
            images = torch.cat([images, missing], dim=axis)
    return images
