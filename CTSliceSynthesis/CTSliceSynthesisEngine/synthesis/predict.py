"""New slices from trained networks, in three views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.checkpoint import Model
from ..networks.folded import FoldedGapNetwork
from ..networks.gap_network import condition, cubic_weights
from ..networks.recipes import NEIGHBOURS, CompactRecipe
from . import views
from .devices import choose_precision
from .plan import Plan
from .stack import UnitStack
from .tiles import tiles

TILE = 1024
"""Largest edge, in pixels, of what the networks see at once."""

BAND = 64
"""Rows (or columns) that a network sees at once where it looks along the other axis only: they fit a core's cache."""

Progress = Callable[[str, int, int], None]


class Predictor(Protocol):
    """Fills the gaps of one stack."""

    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """New slices of gaps first ... last - 1: (3, last - first, len(positions), H, W), unit range, in `views.VIEWS`."""
        ...


def predictor(model: Model, stack: UnitStack, plan: Plan, device: torch.device | None, progress: Progress) -> Predictor:
    """The predictor for a model's recipe."""
    device = device or torch.device("cpu")
    if isinstance(model.recipe, CompactRecipe):
        gap_predictor = GapPredictor(model, conditions(plan), device, choose_precision(device))
        return lambda first, last, positions: gap_predictor(
            torch.from_numpy(stack.around(first, last)).to(device), positions
        )
    from .predict_planes import PlanePredictor

    return PlanePredictor(model, stack, device, progress)


def conditions(plan: Plan) -> list[list[float]]:
    """What the networks are told of the scan, for each of `views.VIEWS`."""
    rows, columns = views.row_column_spacing(plan.grid)
    return [
        condition(plan.grid.slice_spacing, pixel, plan.grid.thickness, plan.output_thickness)
        for pixel in ((rows * columns) ** 0.5, columns, rows)
    ]


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
        self._positions: tuple[float, ...] = ()
        self._networks: list[FoldedGapNetwork] = []

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
        cubic = interpolated(slices, cubic_weights(torch.tensor(list(positions))))
        answers = cubic.new_empty(len(views.VIEWS), *cubic.shape)
        seen = self._networks[0].prepared(slices)
        for answer, network in zip(answers, self._networks, strict=True):
            self._add_residuals(network, seen, cubic, answer)
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

    def _add_residuals(self, network: FoldedGapNetwork, slices: Tensor, cubic: Tensor, answer: Tensor) -> None:
        """answer = cubic + residual, gap by gap and tile by tile: the features of one tile stay in the cache."""
        height, width = cubic.shape[2:]
        for tile in tiles((height, width), self._edges(network.reach), network.reach, network.patch):
            (rows, columns), inner = tile.target, tile.inner
            source = slices[:, tile.source[0], tile.source[1]]
            for gap in range(len(cubic)):
                residuals = network(_filled(source[gap : gap + NEIGHBOURS], network.patch))
                for p, residual in enumerate(residuals):
                    torch.add(cubic[gap, p, rows, columns], residual[inner], out=answer[gap, p, rows, columns])

    def _edges(self, reach: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of a tile: bands along axes that the network does not look along, for they need no halo."""
        rows, columns = (min(BAND, self._tile) if halo == 0 else self._tile for halo in reach)
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


def _filled(image: Tensor, patch: tuple[int, int]) -> Tensor:
    """Repeat the last row and column of (4, H, W) up to a multiple of the patch."""
    height, width = image.shape[1:]
    missing = -height % patch[0], -width % patch[1]
    if not any(missing):
        return image
    return functional.pad(image[None], (0, missing[1], 0, missing[0]), mode="replicate")[0]
