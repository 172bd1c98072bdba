"""Volume selectors: hide derived maps, and select nothing when the selected volume is removed."""

from __future__ import annotations

import slicer
import vtk

from ..Scene import Origin
from .BoundPanel import BoundPanel

CHOSEN = ("inputVolume", "outputVolume", "beforeVolume", "afterVolume")
LAST = -1000.0  # priority: after the selectors themselves, which select another volume when one is removed


class Selectors(BoundPanel):
    """Controls the contents of qMRMLNodeComboBoxes.

    Args:
        boxes: the selectors.
    """

    def __init__(self, boxes) -> None:
        super().__init__()
        self._boxes, self._going = list(boxes), []
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.refresh)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved, priority=-LAST)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved, priority=LAST)

    def refresh(self, caller=None, event=None) -> None:
        """Offer only scans and results."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        figures = [node.GetID() for node in volumes if Origin.isFigure(node)]
        for box in self._boxes:
            model = box.sortFilterProxyModel()
            if list(model.hiddenNodeIDs) != figures:
                model.hiddenNodeIDs = figures

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        self._going = [name for name in CHOSEN if self.parameters and getattr(self.parameters, name) is node]

    def onNodeRemoved(self, caller, event) -> None:
        going, self._going = self._going, []
        for name in going if self.parameters else ():
            self.parameters.setValue(name, None)
