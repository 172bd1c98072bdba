"""How large the errors of a model are, by what is seen of a voxel: fitted where slices were left out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..networks.checkpoint import Model
from ..synthesis.expected_error import ExpectedError, fit, terms
from ..synthesis.fusion import disagreement, fuse
from ..volume.intensity import UNIT_HU, to_unit
from .crops import Crop, CropSettings, draw_batch
from .distillation import answer
from .scan import TrainingScan

_RIM = 24  # pixels that are not counted: they see the crop's edge
_PIXELS = 400  # counted in each crop
_AIR_HU = -950  # a mean over _AROUND pixels below it is air around the patient, of which nobody wants to know
_AROUND = 15


@torch.no_grad()
def fit_expected_error(model: Model, scans: list[TrainingScan], seed: int, crops: int = 600) -> ExpectedError:
    """Calibrate the expected error on crops of the scans, every crop alike: at many factors, gaps and slabs.

    Args:
        model: trained, its fusion weights known.
        scans: that it learned from; networks this small do not remember them.
        seed: of the crops.
        crops: how many.
    """
    rng = np.random.default_rng([seed, 2])
    settings = CropSettings(slab_share=0.25, half_share=0.1, dense_spacing=np.inf)
    seen, errors = [], []
    for _ in range(crops):
        crop = draw_batch(rng, scans, settings, 1, (96, 96), anchor=False)
        spread, fused = _answers(model, crop)
        below, above = (torch.from_numpy(crop.neighbours[0, n]) * UNIT_HU for n in (1, 2))
        position, share = float(np.asarray(crop.position)[0]), float(crop.conditions[0, 2])
        target = torch.from_numpy(crop.target[0]) * UNIT_HU
        counted = _drawn(rng, target)
        seen.append(terms(spread, below, above, position, share).flatten(1)[:, counted])
        errors.append((fused - target).abs().flatten()[counted])
    weights = torch.cat([torch.full((len(part),), 1 / max(1, len(part))) for part in errors])
    return fit(torch.cat(seen, dim=1), torch.cat(errors), weights)


def _answers(model: Model, crop: Crop) -> tuple[Tensor, Tensor]:
    """The views' disagreement and their mean, (h, w), HU counted from -1024."""
    device = next(model.networks.parameters()).device
    turned = Crop(crop.neighbours.swapaxes(2, 3), crop.target.swapaxes(1, 2), crop.position, crop.conditions)
    axial, coronal, sagittal = (
        answer(model.networks[view], seen, device)[0][0].cpu()
        for view, seen in (("axial", crop), ("through_plane", crop), ("through_plane", turned))
    )
    views = torch.stack([axial, coronal, sagittal.T]) * UNIT_HU
    return disagreement(views), fuse(views, model.fusion)


def _drawn(rng: np.random.Generator, target: Tensor) -> Tensor:
    """Flat indices of pixels that count: within the rim, and not in the air around the patient."""
    around = functional.avg_pool2d(target[None, None], _AROUND, 1, _AROUND // 2, count_include_pad=False)[0, 0]
    inside = torch.zeros_like(target, dtype=torch.bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    counted = (inside & (around > float(to_unit(np.array(_AIR_HU))) * UNIT_HU)).flatten().nonzero()[:, 0].numpy()
    return torch.from_numpy(rng.choice(counted, min(_PIXELS, len(counted)), replace=False))
