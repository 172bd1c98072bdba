"""Difference after minus before on the fine grid: what linear interpolation between thick slices does not show."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.options import FACTORS
from CTSliceSynthesisEngine.volume.grid import Grid
from slicer.i18n import tr as _

from ..Scene import Origin, VolumeNodes

LIMIT = np.iinfo(np.int16).max


def refinement(before, after) -> tuple[Grid, int] | None:
    """Return the grid of `before`, with its slice axis, and the factor by which `after` refines it; None if it does not.

    Args:
        before, after: volumes; their parent transforms must be the same.
    """
    if before.GetParentTransformNode() is not after.GetParentTransformNode():
        return None
    for axis in range(3):
        try:
            coarse, fine = (VolumeNodes.gridOf(node, axis, 1.0) for node in (before, after))
        except SynthesisError:  # a single slice along this axis
            continue
        for factor in FACTORS:
            if coarse.refined(factor).matches(fine):
                return coarse, factor
    return None


def make(before, after, name: str):
    """Create a volume of `after` minus `before`, in integer HU; `before` is interpolated linearly between its slices.

    Args:
        before, after: volumes for which `refinement` returns a factor.
        name: name of the new volume.
    """
    grid, factor = refinement(before, after)
    axis = 2 - grid.slice_axis  # arrays run (k, j, i)
    coarse = np.moveaxis(slicer.util.arrayFromVolume(before), axis, 0)
    fine = np.moveaxis(slicer.util.arrayFromVolume(after), axis, 0)
    image = vtk.vtkImageData()
    image.SetDimensions(after.GetImageData().GetDimensions())
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.SetSaveWithScene(False)
    Origin.describe(node, {Origin.CONTENT: "difference in HU"})
    node.CopyOrientation(after)  # the same grid
    node.SetAndObserveImageData(image)
    difference = np.moveaxis(slicer.util.arrayFromVolume(node), axis, 0)
    for index, plane in enumerate(fine):
        hu = plane - between(coarse, index, factor)
        difference[index] = np.clip(np.rint(hu), -LIMIT, LIMIT)
    node = slicer.mrmlScene.AddNode(node)
    node.SetAndObserveTransformNodeID(after.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    return node


def between(slices: np.ndarray, index: int, factor: int) -> np.ndarray:
    """Return slice `index` of the fine stack, (H, W) float32, interpolated linearly from the coarse stack (N, H, W)."""
    lower, step = divmod(index, factor)
    share = np.float32(step / factor)
    below = slices[lower].astype(np.float32)
    return below if step == 0 else (1 - share) * below + share * slices[lower + 1]


def problem(before, after) -> str:
    """Return the reason why two volumes cannot be subtracted; empty if there is none."""
    if refinement(before, after) is None:
        return _("“{after}” does not divide the slices of “{before}”, so they cannot be subtracted.").format(
            after=after.GetName(), before=before.GetName()
        )
    return ""
