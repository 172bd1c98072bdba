"""The expected error of new slices: the model's calibration, applied to what is seen around each gap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..networks.expected_error import ExpectedError, parts
from ..volume.intensity import UNIT_HU
from .plan import Plan


def expected_errors(
    calibration: ExpectedError, disagreement: Tensor, slices: np.ndarray, positions: Sequence[float], plan: Plan
) -> np.ndarray:
    """How many HU new voxels are likely to be wrong.

    Args:
        calibration: of the model, see `own_slices` for that on this very scan.
        disagreement: (G, P, H, W) of the views, HU.
        slices: (G + 3, H, W) unit range, as from `UnitStack.around`.
        positions: P places in a gap, from 0 to 1.
        plan: of the run.

    Returns:
        (G, P, H, W) float32 HU.
    """
    hu = torch.from_numpy(slices) * UNIT_HU
    out = np.empty(disagreement.shape, np.float32)
    for gap, spread in enumerate(disagreement):
        seen = parts(spread, hu[gap : gap + 4], positions, plan.relative_spacing, plan.thinning)
        out[gap] = calibration(seen).numpy()
    return out
