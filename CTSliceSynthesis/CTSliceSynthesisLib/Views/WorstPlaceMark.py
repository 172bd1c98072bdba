"""Marks the location of the largest error found by a check, in all views. The mark is never saved."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk


class WorstPlaceMark:
    """A single mark, kept by node id, since closing the scene removes it."""

    def __init__(self) -> None:
        self._id = ""

    def show(self, scan, place: Sequence[float], text: str) -> None:
        """Mark a location, replacing the previous mark.

        Args:
            scan: its parent transform is applied to the mark.
            place: RAS in mm, before the scan's parent transforms.
            text: label of the mark.
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
