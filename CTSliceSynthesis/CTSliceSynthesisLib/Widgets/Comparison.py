"""Before and after, side by side: linked views in which the slices can be counted."""

from __future__ import annotations

import numpy as np
import slicer
from CTSliceSynthesisEngine.volume.grid import Grid

BEFORE, AFTER = "Red", "Yellow"


def show(before, after, grid: Grid) -> None:
    """Show two volumes side by side in a plane that cuts through the slices; nothing without a main window.

    Args:
        before, after: volumes.
        grid: of the first.
    """
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    for name, node in ((BEFORE, before), (AFTER, after)):
        composite = manager.sliceWidget(name).mrmlSliceCompositeNode()
        composite.SetLinkedControl(False)
        composite.SetBackgroundVolumeID(node.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        manager.sliceWidget(name).mrmlSliceNode().SetOrientation(throughPlane(grid))
        manager.sliceWidget(name).sliceLogic().FitSliceToBackground()
    samePlace(manager.sliceWidget(BEFORE).mrmlSliceNode(), manager.sliceWidget(AFTER).mrmlSliceNode())
    for name in (BEFORE, AFTER):
        composite = manager.sliceWidget(name).mrmlSliceCompositeNode()
        composite.SetHotLinkedControl(True)
        composite.SetLinkedControl(True)


def throughPlane(grid: Grid) -> str:
    """An orientation in which the slices are lines."""
    stacked = int(np.abs(grid.directions[:, grid.slice_axis]).argmax())
    return "Sagittal" if stacked == 1 else "Coronal"


def samePlace(model, follower) -> None:
    """Show the same plane of the patient at the same size."""
    follower.SetFieldOfView(*model.GetFieldOfView())
    follower.GetSliceToRAS().DeepCopy(model.GetSliceToRAS())
    follower.UpdateMatrices()
