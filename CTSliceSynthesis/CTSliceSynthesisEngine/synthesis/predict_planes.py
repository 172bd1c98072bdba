"""Prediction with the networks of the `published` recipe: whole planes at once, for the factor they were trained for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..networks.checkpoint import Model
from . import views
from .stack import UnitStack

_PLANES_AT_ONCE = 8


class PlanePredictor:
    """Predicts the new slices of one stack.

    The through-plane network pools over whole planes, so its predictions are computed up front and kept; the axial
    network works gap by gap.

    Args:
        model: of a published recipe.
        stack: the acquired slices.
        device: where to compute.
        progress: called with (stage, planes done, total planes).
    """

    @torch.inference_mode()
    def __init__(
        self, model: Model, stack: UnitStack, device: torch.device, progress: Callable[[str, int, int], None]
    ) -> None:
        networks = {view: copy.deepcopy(network).eval().to(device) for view, network in model.networks.items()}
        self._axial, self._device = networks["axial"], device
        self._slices = torch.from_numpy(stack.around(0, stack.gaps)[1:-1])
        self._planes = []
        for view, slices in (("coronal", self._slices), ("sagittal", views.swap_rows_columns(self._slices))):
            planes = views.coronal_planes(slices)
            predictions = []
            for start in range(0, len(planes), _PLANES_AT_ONCE):
                progress(view, start, len(planes))
                batch = planes[start : start + _PLANES_AT_ONCE].contiguous().to(device)
                predictions.append(networks["through_plane"](batch).cpu())
            self._planes.append(views.from_coronal_planes(torch.cat(predictions)))

    @torch.inference_mode()
    def __call__(self, first: int, last: int, positions: Sequence[float]) -> Tensor:
        """See `predict.Predictor`; `positions` are those of the model's factor."""
        axial = []
        for gap in range(first, last):
            pair = self._slices[gap : gap + 2][None].to(self._device)
            axial.append(self._axial(pair)[0][0].cpu())
        coronal, sagittal = (predictions[first:last] for predictions in self._planes)
        return torch.stack([torch.stack(axial), coronal, views.swap_rows_columns(sagittal)])
