"""Volume rendering of a volume in one 3D view, for a while."""

from __future__ import annotations

import slicer
import vtk

PRESET = "CT-Chest-Contrast-Enhanced"  # one of those that come with Slicer
SHOWN = ("Visibility",)
CAPTION = vtk.vtkCornerAnnotation.UpperEdge


def show(node, widget, memory) -> list:
    """Render a volume in a 3D view.

    Args:
        node: the volume.
        widget: the 3D view's.
        memory: a SavedNodeStates, which notes what is changed.

    Returns:
        The nodes that were made, those that refer to others last.
    """
    scene = slicer.mrmlScene
    logic = slicer.modules.volumerendering.logic()
    known = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    isNew = logic.GetFirstVolumeRenderingDisplayNode(node) is None
    display = logic.CreateDefaultVolumeRenderingNodes(node)
    made = [n for n in map(scene.GetNthNode, range(scene.GetNumberOfNodes())) if n.GetID() not in known]
    for one in made:
        one.SetSaveWithScene(False)
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
    return made


def caption(widget, text: str) -> None:
    """Write something at the upper edge of a 3D view; nothing takes it away."""
    widget.threeDView().cornerAnnotation().SetText(CAPTION, text)
    widget.threeDView().scheduleRender()
