"""How much each view weighs in the mean."""

from __future__ import annotations

import numpy as np
import torch

from ...networks.checkpoint import Model
from ...networks.gap_network import AxialNetwork
from ..objectives.view_answers import as_gap, axial, planes
from ..scans.crops import Crop, CropSettings, draw_batch
from ..scans.scan import TrainingScan

_AT_ONCE = 32
_RIM = 24  # pixels that are not counted: they see the crop's edge


@torch.no_grad()
def fit_fusion(model: Model, scans: list[TrainingScan], seed: int, crops: int = 256) -> tuple[float, float, float]:
    """Weights of the three views, from slices left out; coronal and sagittal weigh the same.

    With A, P the errors of the axial view and of the mean of the planes, that of w A + (1 - w) P is least, squared, at
    w = <P (P - A)> / <(P - A)^2>. That is the best weight of the cohort, not of the next scan.

    An axial network that answers last has learned from this cohort what to correct, and corrects others too boldly: it gets
    half of that weight. (On two patients left out, half of the correction kept three quarters of its gain between slices far
    apart, and cost nothing between slices that touch, where all of it cost 0.04 dB.) Of one beside the others, the answer
    lies half way between the best weight and the better one of the two alone: this keeps three quarters of the gain, and
    harms no scan whose own best lies at least a quarter of the way. A cohort of thick scans is thinned out as well: one number
    can hardly overfit.
    """
    settings = CropSettings(slab_share=0.15, dense_spacing=np.inf)
    batch = draw_batch(np.random.default_rng([seed, 1]), scans, settings, crops, (96, 96), anchor=False)
    device = next(model.networks.parameters()).device
    top = bottom = 0.0
    for first in range(0, crops, _AT_ONCE):
        some = Crop(*(np.asarray(part)[first : first + _AT_ONCE] for part in batch))
        gap, target = as_gap(some, device)
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
