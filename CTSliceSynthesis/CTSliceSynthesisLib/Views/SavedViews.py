"""Restores the original views of a scene that was saved during a comparison.

Slicer sends no event before saving, so the original state of the views is kept in the scene during a comparison, as an
attribute of the module's node.
"""

from __future__ import annotations

import json

import slicer
from slicer.util import VTKObservationMixin

from ..Scene.SavedNodeStates import SavedNodeStates, fromFacts

NODE, ATTRIBUTE = "CTSliceSynthesis", "CTSliceSynthesis.viewsBefore"


def keep(layout: int | None, memories: list[SavedNodeStates]) -> None:
    """Store the original state of the views in the scene.

    Args:
        layout: layout number; None if it was not changed.
        memories: saved states, in the order in which they are restored.
    """
    node = moduleNode()
    if node is not None:
        node.SetAttribute(ATTRIBUTE, json.dumps({"layout": layout, "nodes": [memory.facts() for memory in memories]}))


def forget() -> None:
    """Remove the stored state, after the views have been restored."""
    node = moduleNode()
    if node is not None:
        node.RemoveAttribute(ATTRIBUTE)


def moduleNode():
    """Return the module's parameter node; None if the scene has none."""
    return slicer.mrmlScene.GetSingletonNode(NODE, "vtkMRMLScriptedModuleNode")


class SavedViews(VTKObservationMixin):
    """Restores the views when a scene is loaded that was saved during a comparison."""

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
            layout, memories = facts["layout"], [fromFacts(entry) for entry in facts["nodes"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        for memory in memories:
            memory.putBack()
        manager = slicer.app.layoutManager()
        if manager is not None and isinstance(layout, int):
            manager.setLayout(layout)
