"""What the numbers mean: Hounsfield units (HU), and the unit range the networks see.

The one place that turns one into the other.
"""

from __future__ import annotations

import numpy as np

from ..errors import SynthesisError

HU_MIN = -1024
"""Air and below: scanners pad with less, and no tissue is there."""
HU_MAX = 3071
"""The top of 12 bits; metal may be stored above."""
UNIT_HU = 4096.0
"""HU per unit: the 12-bit range [HU_MIN, HU_MAX] is [0, 4095/4096], so that a unit is exact in floating point."""
FAT_HU = -100
"""Every CT of a body holds fat or air, so something below this."""


def to_unit(hu: np.ndarray) -> np.ndarray:
    """HU of any type and shape -> float32 in [0, 1), clipped to [HU_MIN, HU_MAX]. The input is left alone."""
    unit = np.array(hu, np.float32)
    np.clip(unit, HU_MIN, HU_MAX, out=unit)
    unit -= HU_MIN
    unit /= UNIT_HU
    return unit


def to_hu(unit: np.ndarray) -> np.ndarray:
    """The inverse on [0, 1): units -> HU, same shape and floating type."""
    return unit * np.float32(UNIT_HU) + np.float32(HU_MIN)


def as_voxels(hu: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """HU as another voxel type: integers are rounded, and saturate instead of wrapping around."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu" or hu.dtype == dtype:
        return hu.astype(dtype)
    limits = np.iinfo(dtype)
    # 2**31 - 128 is the last float32 below 2**31: a bound that every floating type holds, and far beyond any HU.
    return np.clip(np.rint(hu), max(limits.min, -(2**31)), min(limits.max, 2**31 - 128)).astype(dtype)


def problems(voxels: np.ndarray) -> list[str]:
    """Why these voxels cannot be worked on, in sentences; empty when all is well."""
    if not voxels.size:
        return ["The volume holds no voxels; check the file."]
    low, high = _extremes(voxels)
    if np.isnan(low):
        return ["Voxels must be numbers, but some are NaN; replace them by -1024 HU (air)."]
    if np.isinf(low) or np.isinf(high):
        return ["Voxels must be finite, but some are infinite; replace them by values within -1024 to 3071 HU."]
    if low == high:
        return [f"All voxels have the value {low:g}, so there is nothing to synthesize; check the file."]
    return []


def check(voxels: np.ndarray) -> None:
    """Raise SynthesisError "bad-input" with the first of `problems(voxels)`, if there is one."""
    for problem in problems(voxels):
        raise SynthesisError("bad-input", problem)


def looks_like_hu(voxels: np.ndarray) -> bool:
    """False for values that cannot be a CT of a body, as those of an MR (0 to 255): nothing is as low as fat or air."""
    return _extremes(voxels)[0] < FAT_HU


def _extremes(voxels: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value; NaN if one voxel is: reductions, which need no second volume in memory."""
    return float(voxels.min()), float(voxels.max())
