"""Labels each slice view with whether the displayed slice of a result was acquired or synthesized.

The label is at the upper edge: Slicer's own annotations use, and overwrite, only the corners.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ..Scene import Origin, SequenceNodes
from . import SliceKinds

PLACE = vtk.vtkCornerAnnotation.UpperEdge
ROOM = 500  # view width in pixels at which the text fits on one line


class SliceMarks(VTKObservationMixin):
    """Labels all slice views, including those added by later layouts. Without a main window there are none."""

    def __init__(self) -> None:
        super().__init__()
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.connect("layoutChanged(int)", self.follow)
            self.follow()

    def follow(self) -> None:
        """Observe the current slice views."""
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            logic = manager.sliceWidget(name).sliceLogic()
            if not self.hasObserver(logic, vtk.vtkCommand.ModifiedEvent, self._onView):
                self.addObserver(logic, vtk.vtkCommand.ModifiedEvent, self._onView)
                self._onView(logic)

    def _onView(self, logic, event=None) -> None:
        """Update the label when a view moves or shows other volumes."""
        manager, view = slicer.app.layoutManager(), logic.GetSliceNode()
        widget = manager.sliceWidget(view.GetLayoutName()) if manager is not None and view is not None else None
        if widget is None:
            return
        annotation, text = widget.sliceView().cornerAnnotation(), textFor(logic)
        if view.GetDimensions()[0] >= ROOM:
            text = text.replace("\n", " ")
        if (annotation.GetText(PLACE) or "") != text:
            annotation.SetText(PLACE, text)
            widget.sliceView().scheduleRender()


def textFor(logic) -> str:
    """Return the label for a slice logic's view; empty if its background is not a result."""
    node, view = logic.GetBackgroundLayer().GetVolumeNode(), logic.GetSliceNode()
    stack = Origin.stackOf(node, SequenceNodes.behind(node))  # sequence files do not store attributes of frames
    matrix = vtk.vtkMatrix4x4()
    if stack is None or not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        node.GetParentTransformNode(), None, matrix
    ):
        return ""  # also under a non-linear transform
    ijkToParent = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToParent)
    ijkToWorld = slicer.util.arrayFromVTKMatrix(matrix) @ slicer.util.arrayFromVTKMatrix(ijkToParent)
    extent = ijkToWorld[:3, :3] * np.array(node.GetImageData().GetDimensions())
    inPlane = float(np.linalg.norm(np.delete(np.linalg.norm(extent, axis=0), stack.axis)))
    display = node.GetDisplayNode()
    return SliceKinds.describe(
        stack,
        ijkToWorld,
        inPlane,
        slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()),
        mixes=display is not None and bool(display.GetInterpolate()),
        slab=view.GetSlabReconstructionThickness() if view.GetSlabReconstructionEnabled() else 0.0,
    )
