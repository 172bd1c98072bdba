"""Prediction of new slices by trained networks in three views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..networks.checkpoint import Model
from ..networks.folded_network import FoldedGapNetwork
from ..networks.gap_network import AxialNetwork, centered, condition, cubic_weights, position_features, view_channels
from ..networks.recipes import AXIAL_READS, NEIGHBORS, CompactRecipe
from . import views
from .devices import choose_precision, gaps_at_once
from .options import AUTO
from .plan import Plan
from .stack import UnitStack
from .tiles import tiles

TILE = 1024
"""Largest tile edge, in pixels."""

SMALLEST_TILE = 128

BAND = 128
"""Rows (or columns) per tile for networks that work along the other axis only: the features of one band fit the cache."""

Progress = Callable[[str, int, int], None]
Say = Callable[[str], None]


class Predictor(Protocol):
    """Predicts the new slices of one stack."""

    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """Predict gaps first ... last - 1: (3, last - first, len(positions), H, W), unit range, views as `views.VIEWS`."""
        ...


def make_predictor(
    model: Model,
    stack: UnitStack,
    plan: Plan,
    device: torch.device | None,
    progress: Progress,
    say: Say = lambda sentence: None,
) -> Predictor:
    """Create the predictor for a model's recipe."""
    device = device or torch.device("cpu")
    if isinstance(model.recipe, CompactRecipe):
        return FallbackPredictor(model, stack, conditions(plan), device, say, plan.precision)
    from .predict_planes import PlanePredictor

    return PlanePredictor(model, stack, device, progress)


def conditions(plan: Plan) -> list[list[float]]:
    """Return the condition vector of the scan for each of `views.VIEWS`."""
    rows, columns = views.row_column_spacing(plan.grid)
    return [
        condition(plan.grid.slice_distance, pixel, plan.grid.thickness, plan.output_thickness)
        for pixel in ((rows * columns) ** 0.5, columns, rows)
    ]


class FallbackPredictor:
    """A `GapPredictor` that reduces its batch and tile sizes when device memory runs out, and falls back to the CPU.

    Args:
        model, conditions, device: as in `GapPredictor`.
        stack: the acquired slices.
        say: called with a message when the device is abandoned.
        precision: one of `options.PRECISIONS`.
    """

    def __init__(
        self,
        model: Model,
        stack: UnitStack,
        conditions: Sequence[Sequence[float]],
        device: torch.device,
        say: Say,
        precision: str = AUTO,
    ) -> None:
        self._model, self._stack, self._conditions = model, stack, conditions
        self._say, self._precision = say, precision
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self._device = device
        dtype = choose_precision(device, self._precision)
        self._predictor = GapPredictor(self._model, self._conditions, device, dtype)

    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """See `Predictor`."""
        while True:
            try:
                return self._predictor(self._to_device(torch.from_numpy(self._stack.around(first, last))), positions)
            except RuntimeError as error:  # includes running out of memory
                if self._device.type == "cpu":
                    raise
                if not (isinstance(error, torch.cuda.OutOfMemoryError) and self._predictor.shrink()):
                    self._give_up((str(error).splitlines() or ["no reason given"])[0][:160])

    def _to_device(self, slices: Tensor) -> Tensor:
        """Copy the slices to the device."""
        if self._device.type == "cuda":
            slices = slices.pin_memory()  # pinned memory is copied while the GPU computes
        return slices.to(self._device, non_blocking=True)

    def _give_up(self, reason: str) -> None:
        self._say(f"The device {self._device} failed ({reason}); continuing on the CPU.")
        self._use(torch.device("cpu"))


class GapPredictor:
    """Predicts new slices with the networks of a compact recipe.

    Args:
        model: trained networks.
        conditions: of the scan, for each of `views.VIEWS`; see `gap_network.condition`.
        device, dtype: for the convolutions; everything else is float32.
        tile: largest tile edge in pixels, along axes that a network's kernels cover.
    """

    def __init__(
        self,
        model: Model,
        conditions: Sequence[Sequence[float]],
        device: torch.device,
        dtype: torch.dtype,
        tile: int = TILE,
    ) -> None:
        self._model, self._conditions, self._device, self._dtype, self._tile = model, conditions, device, dtype, tile
        self._largest_batch: int | None = None
        self._positions: tuple[float, ...] = ()
        self._planes: list[FoldedGapNetwork] = []
        self._axial: list[FoldedGapNetwork] = []

    def shrink(self) -> bool:
        """Halve the batch, then the tile size, from now on. Return False if they cannot be reduced further."""
        if self._largest_batch != 1:
            self._largest_batch = max(1, (self._largest_batch or 16) // 2)
            return True
        self._tile //= 2
        return self._tile >= SMALLEST_TILE

    @torch.inference_mode()
    def __call__(self, slices: Tensor, positions: Sequence[float]) -> Tensor:
        """Predict new slices.

        Networks are only approximately equivariant to flipping the stack. Each gap is therefore flipped as `gaps_to_flip`
        says, so that a flipped stack gives the flipped result, bit for bit.

        Args:
            slices: (G + 3, H, W) float32 unit range: one slice before the first of G gaps, one after the last.
            positions: of the new slices in each gap, from 0 to 1.

        Returns:
            (3, G, len(positions), H, W) float32 unit range, views in the order of `views.VIEWS`.
        """
        gaps, height, width = len(slices) - NEIGHBORS + 1, *slices.shape[1:]
        predictions = slices.new_empty(len(views.VIEWS), gaps, len(positions), height, width)
        batch = gaps_at_once(self._device, height * width, self._largest_batch)
        flip_gap = gaps_to_flip(slices)
        for flip in (False, True):
            chosen = [gap for gap in range(gaps) if flip_gap[gap] == flip]
            if not chosen:
                continue
            self._fold(tuple(1 - t for t in reversed(positions)) if flip else tuple(positions))
            for first in range(0, len(chosen), batch):  # small batches stay in the cache throughout
                batch_gaps = chosen[first : first + batch]
                predicted = self._predict(torch.stack([_gap(slices, gap, flip) for gap in batch_gaps]))
                predictions[:, batch_gaps] = predicted.flip(2) if flip else predicted
        return predictions

    def _fold(self, positions: tuple[float, ...]) -> None:
        """Prepare the networks for these positions; once per scan, because they are the same for every gap."""
        positions = tuple(round(t, 9) for t in positions)  # thirds from either end are the same positions
        if positions == self._positions:
            return
        axial, planes = (self._model.networks[view] for view in ("axial", "through_plane"))
        placement = self._device, self._dtype
        self._planes = [
            FoldedGapNetwork(planes, values, positions, *placement, exchanged)
            for values, exchanged in zip(self._conditions[1:], (False, True), strict=True)
        ]
        if isinstance(axial, AxialNetwork):
            self._axial = [
                FoldedGapNetwork(axial, [*self._conditions[0], *position_features(t)], [t], *placement)
                for t in positions
            ]
        else:
            self._axial = [FoldedGapNetwork(axial, self._conditions[0], positions, *placement)]
        self._positions = positions

    def _predict(self, slices: Tensor) -> Tensor:
        """Predict new slices (3, B, P, H, W) of B gaps from the slices around each, (B, 4, H, W) unit range."""
        batch, _, *plane = slices.shape
        predictions = slices.new_empty(len(views.VIEWS), batch, len(self._positions), *plane)
        cubic = weighted_sums(slices, cubic_weights(torch.tensor(self._positions)))
        inputs = slices.new_empty(batch, *plane, AXIAL_READS, dtype=self._dtype)
        inputs[..., :NEIGHBORS] = centered(slices).permute(0, 2, 3, 1)
        # Contiguous, because `folded_network` views it as machine words.
        neighbors = inputs[..., :NEIGHBORS].clone(memory_format=torch.contiguous_format)
        for prediction, network in zip(predictions[1:], self._planes, strict=True):
            self._add_residuals(network, neighbors, cubic, prediction)
        if not isinstance(self._model.networks["axial"], AxialNetwork):
            self._add_residuals(self._axial[0], neighbors, cubic, predictions[0])
            return predictions
        for p, network in enumerate(self._axial):
            coronal, sagittal = predictions[1:, :, p]
            inputs[..., NEIGHBORS:] = view_channels(coronal, sagittal, dim=-1)
            mean = ((coronal + sagittal) / 2)[:, None]
            self._add_residuals(network, inputs, mean, predictions[0, :, p : p + 1])
        return predictions

    def _add_residuals(self, network: FoldedGapNetwork, images: Tensor, base: Tensor, prediction: Tensor) -> None:
        """Compute prediction = base + residual, tile by tile.

        Args:
            images: (B, H, W, 4 or more), input of the network.
            base: (B, P, H, W) unit range: what the residual is added to.
            prediction: (B, P, H, W), written.
        """
        for tile in tiles(base.shape[2:], self._edges(network.reach), network.reach, network.patch):
            (rows, columns), inner = tile.target, (slice(None), *tile.inner)
            residuals = network(_pad(images[:, tile.source[0], tile.source[1]], network.patch))
            for p, residual in enumerate(residuals):
                torch.add(base[:, p, rows, columns], residual[inner], out=prediction[:, p, rows, columns])

    def _edges(self, reach: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of a tile; bands along axes that the kernels do not cover, as these need no halo."""
        on_cpu = self._device.type == "cpu"
        rows, columns = (min(BAND, self._tile) if halo == 0 and on_cpu else self._tile for halo in reach)
        return rows, columns


def gaps_to_flip(slices: Tensor) -> list[bool]:
    """Return which gaps of slices (G + 3, H, W) to predict from the flipped stack: those whose upper slice is brighter.

    The choice depends on the set of slices of a gap only, not on their order; ties are broken by the next slices out.
    """
    sums = slices.sum(dim=(1, 2), dtype=torch.float64).tolist()
    return [(c, d) > (b, a) for a, b, c, d in zip(sums, sums[1:], sums[2:], sums[3:], strict=False)]


def _gap(slices: Tensor, gap: int, flip: bool) -> Tensor:
    """Return the four slices around a gap, in reverse order if flipped."""
    around = slices[gap : gap + NEIGHBORS]
    return around.flip(0) if flip else around


def weighted_sums(slices: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums of four neighboring slices: (B, 4, H, W) and (P, 4) -> (B, P, H, W)."""
    out = slices.new_empty(len(slices), len(weights), *slices.shape[2:])
    for p, row in enumerate(weights.tolist()):
        torch.mul(slices[:, 0], row[0], out=out[:, p])
        for n in range(1, NEIGHBORS):
            out[:, p].add_(slices[:, n], alpha=row[n])
    return out


def _pad(images: Tensor, patch: tuple[int, int]) -> Tensor:
    """Repeat the last row and column of (B, H, W, C) up to a multiple of the patch."""
    for axis, step in zip((1, 2), patch, strict=True):
        size = images.shape[axis]
        if size % step:
            missing = images.narrow(axis, size - 1, 1).repeat_interleave(-size % step, dim=axis)
            images = torch.cat([images, missing], dim=axis)
    return images
