"""Fusion weights of the views."""

from __future__ import annotations

import numpy as np
import torch

from ...networks.checkpoint import Model
from ...networks.gap_network import AxialNetwork
from ..objectives.view_answers import as_gap, axial, planes
from ..scans.crops import Crop, CropSettings, draw_batch
from ..scans.scan import TrainingScan

_AT_ONCE = 32
_RIM = 24  # border pixels that are excluded, since the crop's edge affects them


@torch.no_grad()
def fit_fusion(model: Model, scans: list[TrainingScan], seed: int, crops: int = 256) -> tuple[float, float, float]:
    """Fit the weights of the three views on left-out slices; coronal and sagittal have equal weights.

    With A, P the errors of the axial view and of the mean of the other two, the squared error of w A + (1 - w) P is minimal
    at w = <P (P - A)> / <(P - A)^2>. This is the optimum of the cohort, not of the next scan.

    An axial network that runs last has learned its corrections from this cohort, and overcorrects other scans: it gets half
    of that weight. (On two left-out patients, half of the correction kept three quarters of its gain between distant slices,
    and cost nothing between touching slices, where the full correction cost 0.04 dB.) For a parallel axial network, the
    result lies halfway between the optimum and the better one of w = 0 and w = 1: this keeps three quarters of the gain, and
    harms no scan whose own optimum lies at least a quarter of the way. Cohorts of thick scans are thinned out as well: a single
    number hardly overfits.
    """
    settings = CropSettings(slab_share=0.15, dense_spacing=np.inf)
    batch = draw_batch(np.random.default_rng([seed, 1]), scans, settings, crops, (96, 96), anchor=False)
    device = next(model.networks.parameters()).device
    top = bottom = 0.0
    for first in range(0, crops, _AT_ONCE):
        chunk = Crop(*(np.asarray(part)[first : first + _AT_ONCE] for part in batch))
        gap, target = as_gap(chunk, device)
        coronal, sagittal = planes(model.networks, gap)
        views = axial(model.networks, gap, coronal, sagittal), (coronal + sagittal) / 2
        inner = (slice(None), slice(_RIM, -_RIM), slice(_RIM, -_RIM))
        first_error, second_error = ((view - target)[inner].double() for view in views)
        top += float((second_error * (second_error - first_error)).sum())
        bottom += float((second_error - first_error).square().sum())
    if not bottom:
        return 1 / 3, 1 / 3, 1 / 3
    best = float(np.clip(top / bottom, 0, 1))
    answers_last = isinstance(model.networks["axial"], AxialNetwork)
    better_alone = float(best > 0.5 and not answers_last)
    weight = (best + better_alone) / 2
    return weight, (1 - weight) / 2, (1 - weight) / 2
