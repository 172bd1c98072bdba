"""New slices from trained networks, in three views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..networks.checkpoint import Model
from ..networks.folded import FoldedGapNetwork
from ..networks.gap_network import condition, cubic_weights
from ..networks.recipes import NEIGHBOURS, CompactRecipe
from . import views
from .devices import choose_precision, gaps_at_once
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
        return CarefulPredictor(model, stack, conditions(plan), device, say)
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
    """

    def __init__(
        self, model: Model, stack: UnitStack, told: Sequence[Sequence[float]], device: torch.device, say: Say
    ) -> None:
        self._model, self._stack, self._told, self._say = model, stack, told, say
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self._device = device
        self._predictor = GapPredictor(self._model, self._told, device, choose_precision(device))

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
        self._networks: list[FoldedGapNetwork] = []

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

        Args:
            slices: (G + 3, H, W) float32 unit range: one slice before the first of G gaps, one after the last.
            positions: of the new slices in each gap, in (0, 1).

        Returns:
            (3, G, len(positions), H, W) float32 unit range, views in the order of `views.VIEWS`.
        """
        self._fold(tuple(positions))
        gaps, height, width = len(slices) - NEIGHBOURS + 1, *slices.shape[1:]
        answers = slices.new_empty(len(views.VIEWS), gaps, len(positions), height, width)
        weights = cubic_weights(torch.tensor(list(positions)))
        seen = self._networks[0].prepared(slices)
        batch = gaps_at_once(self._device, height * width, self._largest_batch)
        for first in range(0, gaps, batch):  # few gaps at once, from the first sum to the last: they stay in the cache
            some = slice(first, min(first + batch, gaps))
            window = slice(first, some.stop + NEIGHBOURS - 1)
            cubic = interpolated(slices[window], weights)
            # Cloned even where it lies right already: one gap's stride may be anything, and is looked at later.
            neighbours = seen[window].unfold(0, NEIGHBOURS, 1).clone(memory_format=torch.contiguous_format)
            for answer, network in zip(answers, self._networks, strict=True):
                self._add_residuals(network, neighbours, cubic, answer[some])
        return answers

    def _fold(self, positions: tuple[float, ...]) -> None:
        """Make the networks ready for these positions; once a scan, since they are the same for every gap."""
        if positions == self._positions:
            return
        axial, planes = (self._model.networks[view] for view in ("axial", "through_plane"))
        self._networks = [
            FoldedGapNetwork(network, told, positions, self._device, self._dtype, exchanged)
            for network, told, exchanged in zip((axial, planes, planes), self._told, (False, False, True), strict=True)
        ]
        self._positions = positions

    def _add_residuals(self, network: FoldedGapNetwork, neighbours: Tensor, cubic: Tensor, answer: Tensor) -> None:
        """answer = cubic + residual, tile by tile.

        Args:
            neighbours: (B, H, W, 4) as the network wants them.
            cubic: (B, P, H, W) unit range.
            answer: (B, P, H, W), written.
        """
        for tile in tiles(cubic.shape[2:], self._edges(network.reach), network.reach, network.patch):
            (rows, columns), inner = tile.target, (slice(None), *tile.inner)
            residuals = network(_filled(neighbours[:, tile.source[0], tile.source[1]], network.patch))
            for p, residual in enumerate(residuals):
                torch.add(cubic[:, p, rows, columns], residual[inner], out=answer[:, p, rows, columns])

    def _edges(self, reach: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of a tile: bands along axes that the network does not look along, for they need no halo."""
        on_cpu = self._device.type == "cpu"
        rows, columns = (min(BAND, self._tile) if halo == 0 and on_cpu else self._tile for halo in reach)
        return rows, columns


def interpolated(slices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of four neighbouring slices: (G + 3, H, W) and (P, 4) -> (G, P, H, W)."""
    gaps = len(slices) - NEIGHBOURS + 1
    out = slices.new_empty(gaps, len(weights), *slices.shape[1:])
    for p, row in enumerate(weights.tolist()):
        torch.mul(slices[:gaps], row[0], out=out[:, p])
        for n in range(1, NEIGHBOURS):
            out[:, p].add_(slices[n : n + gaps], alpha=row[n])
    return out


def _filled(neighbours: Tensor, patch: tuple[int, int]) -> Tensor:
    """Repeat the last row and column of (B, H, W, 4) up to a multiple of the patch."""
    for axis, step in zip((1, 2), patch, strict=True):
        size = neighbours.shape[axis]
        if size % step:
            missing = neighbours.narrow(axis, size - 1, 1).repeat_interleave(-size % step, dim=axis)
            neighbours = torch.cat([neighbours, missing], dim=axis)
    return neighbours
