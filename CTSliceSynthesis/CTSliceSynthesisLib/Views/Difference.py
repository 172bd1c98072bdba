"""After minus before, on the fine grid: what synthesis adds to linear interpolation between the acquired slices."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.places import Places
from CTSliceSynthesisEngine.volume.grid import TIE, Grid
from slicer.i18n import tr as _

from ..Scene import Origin, VolumeNodes

LIMIT = np.iinfo(np.int16).max


def refinement(before, after) -> tuple[Grid, float] | None:
    """Return the grid of `before`, with its slice axis, and how many times closer the slices of `after` are.

    The factor need not be a whole number (exact spacing). None if `after` was not made on the slices of `before`.

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
        ratio = coarse.slice_spacing / fine.slice_spacing
        factor = round(ratio) if abs(ratio - round(ratio)) < TIE else ratio
        if factor > 1 and coarse.upsampled(factor).matches(fine):
            return coarse, factor
    return None


def make(before, after, name: str):
    """Return a new volume: `after` minus `before` in whole HU, where `before` is interpolated linearly between its slices.

    Args:
        before, after: volumes for which `refinement` returns a factor.
        name: of the new volume.
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
    positions = Places(len(coarse), factor).at
    for index, plane in enumerate(fine):
        hu = plane - interpolated(coarse, positions[index])
        difference[index] = np.clip(np.rint(hu), -LIMIT, LIMIT)
    node = slicer.mrmlScene.AddNode(node)
    node.SetAndObserveTransformNodeID(after.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    return node


def interpolated(slices: np.ndarray, position: float) -> np.ndarray:
    """Return the slice at a fractional index of a stack (N, H, W), interpolated linearly, (H, W) float32."""
    lower = int(position)
    share = np.float32(position - lower)
    below = slices[lower].astype(np.float32)
    return below if share == 0 else (1 - share) * below + share * slices[lower + 1]


def problem(before, after) -> str:
    """Return why two volumes cannot be subtracted; empty if they can."""
    if refinement(before, after) is None:
        return _("“{after}” was not made from the slices of “{before}”, so they cannot be subtracted.").format(
            after=after.GetName(), before=before.GetName()
        )
    return ""
