"""A mark at one place of a scan, in all views: the worst place that a check found. It is never saved."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk


class WorstPlaceMark:
    """One mark, by id: closing the scene takes it away."""

    def __init__(self) -> None:
        self._id = ""

    def show(self, scan, place: Sequence[float], text: str) -> None:
        """Mark a place, in place of the last one.

        Args:
            scan: the mark lies under its parent transform.
            place: RAS in mm, before the scan's parent transforms.
            text: stands beside the mark.
        """
        self.remove()
        mark = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "CT Slice Synthesis mark")
        mark.SetSaveWithScene(False)
        mark.SetHideFromEditors(True)
        mark.SetLocked(True)
        mark.CreateDefaultDisplayNodes()
        mark.GetDisplayNode().SetSaveWithScene(False)
        mark.AddControlPoint(vtk.vtkVector3d(*place), text)
        mark.SetAndObserveTransformNodeID(scan.GetTransformNodeID())
        self._id = mark.GetID()

    def remove(self) -> None:
        mark = slicer.mrmlScene.GetNodeByID(self._id) if self._id else None
        self._id = ""
        if mark is not None:
            slicer.mrmlScene.RemoveNode(mark.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(mark)
