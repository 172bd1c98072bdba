"""Writes into each slice view whether the slice of a result that it shows was acquired or synthesized.

At the upper edge: Slicer's own annotations are at the corners, and rewrite those alone.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ..Scene import Origin, SequenceNodes
from . import SliceKinds

PLACE = vtk.vtkCornerAnnotation.UpperEdge
ROOM = 500  # pixels across a view: the words fit into one line


class SliceMarks(VTKObservationMixin):
    """Follows all slice views, also those that a later layout brings. Without a main window there are none."""

    def __init__(self) -> None:
        super().__init__()
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.connect("layoutChanged(int)", self.follow)
            self.follow()

    def follow(self) -> None:
        """Follow the slice views that there are now."""
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            logic = manager.sliceWidget(name).sliceLogic()
            if not self.hasObserver(logic, vtk.vtkCommand.ModifiedEvent, self._onView):
                self.addObserver(logic, vtk.vtkCommand.ModifiedEvent, self._onView)
                self._onView(logic)

    def _onView(self, logic, event=None) -> None:
        """A view moved, or shows other volumes."""
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
    """What stands in the view of a slice logic; empty where its background is no result."""
    node, view = logic.GetBackgroundLayer().GetVolumeNode(), logic.GetSliceNode()
    stack = Origin.stackOf(node, SequenceNodes.behind(node))  # files of sequences keep nothing of each frame
    matrix = vtk.vtkMatrix4x4()
    if stack is None or not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        node.GetParentTransformNode(), None, matrix
    ):
        return ""  # also under a transform that bends space
    ijkToParent = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToParent)
    ijkToWorld = slicer.util.arrayFromVTKMatrix(matrix) @ slicer.util.arrayFromVTKMatrix(ijkToParent)
    extent = ijkToWorld[:3, :3] * np.array(node.GetImageData().GetDimensions())
    inPlane = float(np.linalg.norm(np.delete(np.linalg.norm(extent, axis=0), stack.axis)))
    display = node.GetDisplayNode()
    return SliceKinds.told(
        stack,
        ijkToWorld,
        inPlane,
        slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()),
        mixes=display is not None and bool(display.GetInterpolate()),
        slab=view.GetSlabReconstructionThickness() if view.GetSlabReconstructionEnabled() else 0.0,
    )
