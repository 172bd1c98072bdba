"""Voxel values: Hounsfield units (HU), and the unit range used by the networks.

All conversions between the two are here.
"""

from __future__ import annotations

import numpy as np

from ..errors import SynthesisError

HU_MIN = -1024
"""Air; lower values are scanner padding, not tissue."""
HU_MAX = 3071
"""The 12-bit maximum; metal may be stored above."""
UNIT_HU = 4096.0
"""HU per unit: maps the 12-bit range [HU_MIN, HU_MAX] to [0, 4095/4096], exactly in floating point."""
FAT_HU = -100
"""Every CT of a body contains fat or air, hence values below this."""


def to_unit(hu: np.ndarray) -> np.ndarray:
    """Convert HU of any type and shape to float32 in [0, 1), clipped to [HU_MIN, HU_MAX], as a copy."""
    unit = np.array(hu, np.float32)
    np.clip(unit, HU_MIN, HU_MAX, out=unit)
    unit -= HU_MIN
    unit /= UNIT_HU
    return unit


def to_hu(unit: np.ndarray) -> np.ndarray:
    """Convert unit range [0, 1) to HU, same shape and floating type."""
    return unit * np.float32(UNIT_HU) + np.float32(HU_MIN)


def as_voxels(hu: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Convert HU to another voxel type; integers are rounded, and saturate instead of wrapping around."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu" or hu.dtype == dtype:
        return hu.astype(dtype)
    limits = np.iinfo(dtype)
    # 2**31 - 128 is the largest float32 below 2**31: representable in every floating type, and far beyond any HU.
    return np.clip(np.rint(hu), max(limits.min, -(2**31)), min(limits.max, 2**31 - 128)).astype(dtype)


def problems(voxels: np.ndarray) -> list[str]:
    """Return the reasons why these voxels cannot be processed; empty if there are none."""
    if not voxels.size:
        return ["The volume has no voxels; check the file."]
    low, high = _extremes(voxels)
    if np.isnan(low):
        return ["Voxels must be numbers, but some are NaN; replace them by -1024 HU (air)."]
    if np.isinf(low) or np.isinf(high):
        return ["Voxels must be finite, but some are infinite; replace them by values within -1024 to 3071 HU."]
    if low == high:
        return [f"All voxels have the value {low:g}, so there is nothing to synthesize; check the file."]
    return []


def check(voxels: np.ndarray) -> None:
    """Raise SynthesisError "bad-input" with the first of `problems(voxels)`, if any."""
    for problem in problems(voxels):
        raise SynthesisError("bad-input", problem)


def looks_like_hu(voxels: np.ndarray) -> bool:
    """Return False for values without fat or air, which cannot be a CT of a body, e.g. an MR (0 to 255)."""
    return _extremes(voxels)[0] < FAT_HU


def _extremes(voxels: np.ndarray) -> tuple[float, float]:
    """Return the minimum and maximum, NaN if any voxel is; reductions need no second volume in memory."""
    return float(voxels.min()), float(voxels.max())
