"""Determines whether a slice view shows an acquired slice of a result, a synthesized one, or both.

Pure geometry, independent of the scene.
"""

from __future__ import annotations

import math

import numpy as np
from slicer.i18n import tr as _

from ..Scene.Origin import Stack

ON_A_SLICE = 0.02
"""In slices: a view this close to the center of a slice shows only that slice."""
TURNED = 0.25
"""In slices: a view whose corner deviates more than this from the slice at its center is not parallel to the slices."""


def describe(
    stack: Stack, ijkToWorld: np.ndarray, inPlane: float, viewToWorld: np.ndarray, mixes: bool, slab: float = 0.0
) -> str:
    """Describe what a view shows; empty if it is outside the volume.

        slice of the result      0   1   2   3   4      factor 4: 0 and 4 are acquired
        index of the view          ^ 0.6                between 0 and 1, a mix of both when interpolated

    Args:
        stack: which slices were acquired.
        ijkToWorld: (4, 4) matrix of the result, including parent transforms.
        inPlane: diagonal of a slice, mm.
        viewToWorld: (4, 4), mm in the view (right, up, out of plane) -> world; SliceToRAS of vtkMRMLSliceNode.
        mixes: True if voxels are interpolated for display.
        slab: thickness of the slab projection, mm; 0 if off.
    """
    viewToIjk = np.linalg.inv(ijkToWorld) @ viewToWorld
    across, up, out, index = viewToIjk[stack.axis]
    if math.hypot(across, up) * inPlane / 2 > TURNED:
        return _("synthesized slices") if stack.thinned else _("acquired and synthesized slices")
    reach = abs(out) * slab / 2
    first, last = slicesShown(index - reach, index + reach, mixes)
    if last < 0 or first > stack.count - 1:
        return ""
    return inWords(stack, max(first, 0), min(last, stack.count - 1))


def slicesShown(low: float, high: float, mixes: bool) -> tuple[int, int]:
    """Return the first and last slice that contribute voxels to a range of slice indices."""
    if mixes:
        return math.floor(low + ON_A_SLICE), math.ceil(high - ON_A_SLICE)
    return math.floor(low + 0.5), math.floor(high + 0.5)


def inWords(stack: Stack, first: int, last: int) -> str:
    """Describe a range of slices; acquired slices are counted from 1, as in the input scan."""
    before, after = math.floor(stack.place(first)) + 1, math.ceil(stack.place(last)) + 1
    if first == last and stack.place(first).is_integer():
        if stack.thinned:
            return _("thin estimate replacing\nacquired slice {number}").format(number=before)
        return _("acquired slice {number}").format(number=before)
    holdsAcquired = not stack.thinned and any(stack.place(index).is_integer() for index in range(first, last + 1))
    if last - first > 1 and holdsAcquired:
        return _("acquired and synthesized slices")
    return _("synthesized between\nacquired slices {before} and {after}").format(before=before, after=after)
