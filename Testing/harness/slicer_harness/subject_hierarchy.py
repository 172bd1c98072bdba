"""Creates subject hierarchy items for nodes, as Slicer's application does; slicer-core does not."""

from __future__ import annotations

import types
from typing import Any

import vtk


def keepItems(slicer: types.ModuleType) -> Any:
    """Create an item for each data node added to the scene from now on, and remove it with its node."""

    def hierarchy() -> Any:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(scene: Any, event: str, node: Any) -> None:
        if isinstance(node, (slicer.vtkMRMLVolumeNode, slicer.vtkMRMLTransformNode)) and not node.GetHideFromEditors():
            found = hierarchy()
            if not found.GetItemByDataNode(node):
                found.CreateItem(found.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(scene: Any, event: str, node: Any) -> None:
        if not isinstance(node, slicer.vtkMRMLDisplayableNode):
            return
        found = hierarchy()
        item = found.GetItemByDataNode(node)
        if item:
            found.RemoveItem(item, False, False)

    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added)
    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, removed)
    return hierarchy()
