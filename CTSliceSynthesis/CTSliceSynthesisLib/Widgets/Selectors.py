"""The selectors of volumes: figures about a result are not offered, and nothing takes the place of a volume that goes."""

from __future__ import annotations

import slicer
import vtk

from ..Scene import Origin
from .BoundPanel import BoundPanel

CHOSEN = ("inputVolume", "outputVolume", "beforeVolume", "afterVolume")
LAST = -1000.0  # priority: after the selectors themselves, which choose the next volume when one goes


class Selectors(BoundPanel):
    """Looks after qMRMLNodeComboBoxes.

    Args:
        boxes: the selectors.
    """

    def __init__(self, boxes) -> None:
        super().__init__()
        self._boxes, self._going = list(boxes), []
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.refresh)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeGoes, priority=-LAST)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeGone, priority=LAST)

    def refresh(self, caller=None, event=None) -> None:
        """Offer scans and results alone."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        figures = [node.GetID() for node in volumes if Origin.isFigure(node)]
        for box in self._boxes:
            model = box.sortFilterProxyModel()
            if list(model.hiddenNodeIDs) != figures:
                model.hiddenNodeIDs = figures

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeGoes(self, caller, event, node) -> None:
        self._going = [name for name in CHOSEN if self.parameters and getattr(self.parameters, name) is node]

    def onNodeGone(self, caller, event) -> None:
        going, self._going = self._going, []
        for name in going if self.parameters else ():
            self.parameters.setValue(name, None)
