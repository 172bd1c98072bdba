"""Temporary volume rendering of a volume in one 3D view."""

from __future__ import annotations

import slicer
import vtk

PRESET = "CT-Chest-Contrast-Enhanced"  # one of Slicer's presets
SHOWN = ("Visibility",)
CAPTION = vtk.vtkCornerAnnotation.UpperEdge


def show(node, widget, memory) -> list:
    """Render a volume in a 3D view.

    Args:
        node: the volume.
        widget: the 3D widget.
        memory: a SavedNodeStates that saves what is changed.

    Returns:
        The new nodes, referring nodes last.
    """
    scene = slicer.mrmlScene
    logic = slicer.modules.volumerendering.logic()
    known = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    isNew = logic.GetFirstVolumeRenderingDisplayNode(node) is None
    display = logic.CreateDefaultVolumeRenderingNodes(node)
    newNodes = [n for n in map(scene.GetNthNode, range(scene.GetNumberOfNodes())) if n.GetID() not in known]
    for newNode in newNodes:
        newNode.SetSaveWithScene(False)
    view = widget.mrmlViewNode()
    memory.note(display, SHOWN)
    memory.note(view, ("LinkedControl",))
    if isNew:
        preset = logic.GetPresetByName(PRESET)
        if preset is not None:
            display.GetVolumePropertyNode().Copy(preset)
        display.RemoveAllViewNodeIDs()
        display.AddViewNodeID(view.GetID())
    display.SetVisibility(True)
    view.SetLinkedControl(True)
    widget.threeDView().resetFocalPoint()
    return newNodes


def caption(widget, text: str) -> None:
    """Show a text at the upper edge of a 3D view; "" removes it."""
    widget.threeDView().cornerAnnotation().SetText(CAPTION, text)
    widget.threeDView().scheduleRender()
