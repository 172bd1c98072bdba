"""Expected error of synthesized slices: the model's calibration applied to each gap."""

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
    """Estimate the error of synthesized voxels in HU.

    Args:
        calibration: of the model; see `scan_calibration` for adapting it to the scan.
        disagreement: (G, P, H, W) of the views, HU.
        slices: (G + 3, H, W) unit range, as returned by `UnitStack.around`.
        positions: P positions in a gap, from 0 to 1.
        plan: of the run.

    Returns:
        (G, P, H, W) float32 HU.
    """
    hu = torch.from_numpy(slices) * UNIT_HU
    out = np.empty(disagreement.shape, np.float32)
    for gap, spread in enumerate(disagreement):
        features = parts(spread, hu[gap : gap + 4], positions, plan.relative_spacing, plan.thinning)
        out[gap] = calibration(features).numpy()
    return out
