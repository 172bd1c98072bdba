"""New slices from trained networks, in three views."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.checkpoint import Model
from ..networks.gap_network import GapNetwork, condition, cubic_weights
from ..networks.recipes import NEIGHBOURS, CompactRecipe
from . import views
from .devices import choose_precision
from .plan import Plan
from .stack import UnitStack
from .tiles import tiles

TILE = 1024
"""Largest edge, in pixels, of what the networks see at once."""

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
        return lambda first, last, positions: gap_predictor(windows(stack, first, last).to(device), positions)
    from .predict_planes import PlanePredictor

    return PlanePredictor(model, stack, device, progress)


def conditions(plan: Plan) -> list[list[float]]:
    """What the networks are told of the scan, for each of `views.VIEWS`."""
    rows, columns = views.row_column_spacing(plan.grid)
    return [
        condition(plan.grid.slice_spacing, pixel, plan.grid.thickness, plan.output_thickness)
        for pixel in ((rows * columns) ** 0.5, columns, rows)
    ]


def windows(stack: UnitStack, first: int, last: int) -> Tensor:
    """(last - first, 4, H, W): the four slices around each gap, as a view of memory that holds every slice once."""
    return torch.from_numpy(stack.around(first, last)).unfold(0, NEIGHBOURS, 1).permute(0, 3, 1, 2)


class GapPredictor:
    """Fills gaps with the networks of a compact recipe.

    Args:
        model: trained networks.
        told: conditions of the scan, for each of `views.VIEWS`; see `gap_network.condition`.
        device, dtype: where and in which precision the convolutions are computed; all else is float32.
        tile: largest edge in pixels of what is computed at once.
    """

    def __init__(
        self,
        model: Model,
        told: Sequence[Sequence[float]],
        device: torch.device,
        dtype: torch.dtype,
        tile: int = TILE,
    ) -> None:
        self._networks = {view: _prepared(network, device, dtype) for view, network in model.networks.items()}
        self._told = [torch.tensor([list(values)], device=device) for values in told]
        self._tile = tile

    @torch.inference_mode()
    def __call__(self, neighbours: Tensor, positions: Sequence[float]) -> Tensor:
        """New slices.

        Args:
            neighbours: (G, 4, H, W) float32 unit range: for each gap the two slices below and the two above.
            positions: of the new slices in each gap, in (0, 1).

        Returns:
            (3, G, len(positions), H, W) float32 unit range, views in the order of `views.VIEWS`.
        """
        at = torch.tensor(list(positions), device=neighbours.device)
        cubic = torch.einsum("gnhw,pn->gphw", neighbours, cubic_weights(at))
        axial, planes = self._networks["axial"], self._networks["through_plane"]
        sagittal = self._residual(planes, views.exchanged(neighbours), at, self._told[2])
        return torch.stack(
            [
                cubic + self._residual(axial, neighbours, at, self._told[0]),
                cubic + self._residual(planes, neighbours, at, self._told[1]),
                cubic + views.exchanged(sagittal),
            ]
        )

    def _residual(self, network: GapNetwork, neighbours: Tensor, positions: Tensor, told: Tensor) -> Tensor:
        """(G, P, H, W) from (G, 4, H, W), tile by tile and gap by gap: one gap's features stay in the cache."""
        out = neighbours.new_empty(len(neighbours), len(positions), *neighbours.shape[2:])
        for tile in tiles(tuple(neighbours.shape[2:]), self._tile, network.shape.reach, network.shape.patch):
            for gap, image in enumerate(neighbours[..., tile.source[0], tile.source[1]]):
                features, embedded = network.trunk(_filled(image[None], network.shape.patch), told)
                for p in range(len(positions)):
                    residual = network.head(features, embedded, positions[p : p + 1])[0]
                    out[gap, p, tile.target[0], tile.target[1]] = residual[tile.inner]
        return out


def _prepared(network: nn.Module, device: torch.device, dtype: torch.dtype) -> GapNetwork:
    """A copy for inference: convolutions in `dtype`, weights laid out channels-last."""
    prepared = copy.deepcopy(network).eval().to(device)
    for module in prepared.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(prepared, GapNetwork)
    return prepared


def _filled(image: Tensor, patch: tuple[int, int]) -> Tensor:
    """Repeat the last row and column up to a multiple of the patch."""
    height, width = image.shape[2:]
    missing = -height % patch[0], -width % patch[1]
    return functional.pad(image, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else image
