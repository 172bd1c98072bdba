"""A scene that is saved while volumes are compared opens as it was before.

Slicer tells nobody that it is going to save, so what the views were like lies in the scene for as long as they are compared,
as an attribute of the module's own node.
"""

from __future__ import annotations

import json

import slicer
from slicer.util import VTKObservationMixin

from ..Scene.SavedNodeStates import SavedNodeStates, fromFacts

NODE, ATTRIBUTE = "CTSliceSynthesis", "CTSliceSynthesis.viewsBefore"


def keep(layout: int | None, memories: list[SavedNodeStates]) -> None:
    """Keep in the scene what the views were like before they were changed.

    Args:
        layout: number of the layout; None if it was not changed.
        memories: in the order in which they go back.
    """
    node = moduleNode()
    if node is not None:
        node.SetAttribute(ATTRIBUTE, json.dumps({"layout": layout, "nodes": [one.facts() for one in memories]}))


def forget() -> None:
    """The views are as they were."""
    node = moduleNode()
    if node is not None:
        node.RemoveAttribute(ATTRIBUTE)


def moduleNode():
    """The node that holds the module's choices; None in a scene without."""
    return slicer.mrmlScene.GetSingletonNode(NODE, "vtkMRMLScriptedModuleNode")


class SavedViews(VTKObservationMixin):
    """Puts the views back in each scene that was saved in the middle of a comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self._onSceneRead)

    def _onSceneRead(self, caller, event) -> None:
        node = moduleNode()
        text = node.GetAttribute(ATTRIBUTE) if node is not None else None
        if not text:
            return
        forget()
        try:
            facts = json.loads(text)
            layout, memories = facts["layout"], [fromFacts(one) for one in facts["nodes"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        for memory in memories:
            memory.putBack()
        manager = slicer.app.layoutManager()
        if manager is not None and isinstance(layout, int):
            manager.setLayout(layout)
