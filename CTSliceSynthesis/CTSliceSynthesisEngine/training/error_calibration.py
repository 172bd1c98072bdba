"""How large the errors of a model are, by what is seen of a voxel: fitted where slices were left out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..networks.checkpoint import Model
from ..networks.expected_error import ExpectedError, fit, terms
from ..networks.gap_network import told_profile
from ..synthesis.fusion import disagreement, fuse
from ..volume.intensity import UNIT_HU, to_unit
from .crops import Crop, CropSettings, draw_batch
from .distillation import answer
from .scan import TrainingScan

_AT_ONCE = 32
_SIZE = (96, 96)
_RIM = 24  # pixels that are not counted: they see the crop's edge
_PIXELS = 400  # counted in each crop
_AIR_HU = -950  # a mean over _AROUND pixels below it is air around the patient, of which nobody wants to know
_AROUND = 15


@torch.no_grad()
def fit_expected_error(model: Model, scans: list[TrainingScan], seed: int, crops: int = 384) -> ExpectedError | None:
    """Calibrate the expected error on crops of the scans, every pixel of the body alike: at many factors, gaps and slabs.

    Args:
        model: trained, its fusion weights known.
        scans: that it learned from; networks this small do not remember them.
        seed: of the crops.
        crops: how many.

    Returns:
        None where the scans hold nothing but air.
    """
    rng = np.random.default_rng([seed, 2])
    settings = CropSettings(slab_share=0.25, half_share=0.0, known_share=1.0, dense_spacing=np.inf)
    seen, errors, weights = [], [], []
    for _ in range(0, crops, _AT_ONCE):
        batch = draw_batch(rng, scans, settings, _AT_ONCE, _SIZE, anchor=False)
        spreads, fused = _answers(model, batch)
        for one, (spread, answered) in enumerate(zip(spreads, fused, strict=True)):
            neighbours, target, position, conditions = (np.asarray(part)[one] for part in batch)
            truth = torch.from_numpy(target) * UNIT_HU
            inside = _inside(truth)
            counted = torch.from_numpy(rng.choice(inside, min(_PIXELS, len(inside)), replace=False))
            around = torch.from_numpy(neighbours) * UNIT_HU
            found = terms(spread[None], around, [float(position)], *told_profile(conditions))
            seen.append(found.flatten(1)[:, counted])
            errors.append((answered - truth).abs().flatten()[counted])
            weights.append(torch.full((len(counted),), len(inside) / max(1, len(counted))))
    every = torch.cat(weights)
    return fit(torch.cat(seen, dim=1), torch.cat(errors), every) if len(every) else None


def _answers(model: Model, batch: Crop) -> tuple[Tensor, Tensor]:
    """The views' disagreement and their mean, (B, h, w), HU counted from -1024."""
    device = next(model.networks.parameters()).device
    turned = Crop(batch.neighbours.swapaxes(2, 3), batch.target.swapaxes(1, 2), batch.position, batch.conditions)
    axial, coronal, sagittal = (
        answer(model.networks[view], seen, device)[0].cpu()
        for view, seen in (("axial", batch), ("through_plane", batch), ("through_plane", turned))
    )
    views = torch.stack([axial, coronal, sagittal.transpose(1, 2)]) * UNIT_HU
    return disagreement(views), fuse(views, model.fusion)


def _inside(target: Tensor) -> np.ndarray:
    """Flat indices of pixels that count: within the rim, and not in the air around the patient."""
    around = functional.avg_pool2d(target[None, None], _AROUND, 1, _AROUND // 2, count_include_pad=False)[0, 0]
    inside = torch.zeros_like(target, dtype=torch.bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    found: np.ndarray = (
        (inside & (around > float(to_unit(np.array(_AIR_HU))) * UNIT_HU)).flatten().nonzero()[:, 0].numpy()
    )
    return found
