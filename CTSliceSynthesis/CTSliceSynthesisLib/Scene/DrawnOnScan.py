"""Transfers segmentations and label maps of a scan to the grid of its result.

Markups are defined in patient coordinates, not on a voxel grid, so they need no transfer and show on both volumes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import vtk
from CTSliceSynthesisEngine.synthesis.label_maps import upsample_labels
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume
from slicer.i18n import tr as _

from . import Origin, VolumeNodes

SEGMENTATION, LABEL_MAP = "vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"


def drawnOn(scan) -> list:
    """Return the segmentations drawn on a scan, and the label maps on its grid."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    segmentations = [
        node
        for node in slicer.util.getNodesByClass(SEGMENTATION)
        if node.GetNodeReference(role) is scan and node.GetSegmentation().GetNumberOfSegments()
    ]
    grid = VolumeNodes.gridOf(scan)
    labelMaps = [
        node
        for node in slicer.util.getNodesByClass(LABEL_MAP)
        if node.GetImageData() is not None
        and node.GetTransformNodeID() == scan.GetTransformNodeID()
        and VolumeNodes.gridOf(node, grid.slice_axis).matches(grid)
    ]
    return segmentations + labelMaps


def problems(result) -> list[str]:
    """Return the reasons why nothing can be transferred to a volume, as messages for the user; empty if there are none."""
    if result is None or Origin.stackOf(result) is None:
        return [_("Segmentations follow a scan to its result: choose one, neither cropped nor resampled since.")]
    scan = Origin.companion(result, Origin.SOURCE)
    if scan is None:
        return [_("The scan of “{name}” is not in the scene: load it first.").format(name=result.GetName())]
    stack = Origin.stackOf(result)
    if not VolumeNodes.gridOf(scan, stack.axis).upsampled(stack.factor).matches(VolumeNodes.gridOf(result, stack.axis)):
        return [
            _("“{name}” does not lie on the scan “{scan}” any more: increase its resolution again.").format(
                name=result.GetName(), scan=scan.GetName()
            )
        ]
    if not drawnOn(scan):
        return [
            _("No segmentation and no label map was drawn on “{scan}”: those of other scans do not fit.").format(
                scan=scan.GetName()
            )
        ]
    return []


def carry(result) -> list:
    """Copy what was drawn on the scan to the grid of the result; the originals are unchanged.

    Args:
        result: a volume without `problems`.

    Returns:
        New nodes, named after the original and the result, with the same segments, names and colors.
    """
    scan = Origin.companion(result, Origin.SOURCE)
    copies = []
    for node in drawnOn(scan):
        copies.append(_segmentation(node, scan, result) if node.IsA(SEGMENTATION) else _labelMap(node, scan, result))
    return copies


def _segmentation(node, scan, result):
    """Copy a segmentation; overlapping segments are interpolated separately."""
    copy = slicer.mrmlScene.AddNewNodeByClass(SEGMENTATION, _name(node, result))
    copy.CreateDefaultDisplayNodes()
    copy.SetReferenceImageGeometryParameterFromVolumeNode(result)
    copy.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    for identifiers, labels in _layers(node, scan):
        fine = _carried(labels, scan, result)
        for number, identifier in enumerate(identifiers, start=1):
            segment = slicer.vtkSegment()
            segment.DeepCopyMetadata(node.GetSegmentation().GetSegment(identifier))
            copy.GetSegmentation().AddSegment(segment, identifier)
            _fill(copy, identifier, fine == number, result)
    _finishCopy(node, copy, result)
    return copy


def _layers(node, scan):
    """Return groups of non-overlapping segments: (identifiers, label map (k, j, i) with labels 1, 2, ...)."""
    layers = []
    for identifier in node.GetSegmentation().GetSegmentIDs():
        inside = _voxels(node, identifier, scan) > 0
        free = [layer for layer in layers if not layer[1][inside].any()]
        if not free:
            layers.append(([], np.zeros(inside.shape, np.int16)))
        identifiers, labels = free[0] if free else layers[-1]
        identifiers.append(identifier)
        labels[inside] = len(identifiers)
    return layers


def _fill(node, identifier: str, inside: np.ndarray, result) -> None:
    """Set the voxels of a segment, on the grid of the result."""
    if not inside.any():
        return
    temporary = _put(inside.astype(np.uint8), result, "carried")
    try:
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(temporary, node, _array(identifier))
    finally:
        slicer.mrmlScene.RemoveNode(temporary)


def _array(identifier: str):
    """Wrap one segment identifier in the array type that Slicer's logic expects."""
    identifiers = vtk.vtkStringArray()
    identifiers.InsertNextValue(identifier)
    return identifiers


def _voxels(node, identifier: str, scan) -> np.ndarray:
    """Return a segment on the scan's grid, above 0 inside; the array is a copy."""
    temporary = slicer.mrmlScene.AddNewNodeByClass(LABEL_MAP, "exported")
    try:
        slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
            node, _array(identifier), temporary, scan, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
        )
        return slicer.util.arrayFromVolume(temporary).copy()
    finally:
        slicer.mrmlScene.RemoveNode(temporary)


def _labelMap(node, scan, result):
    """Copy a label map, with its colors."""
    copy = _put(_carried(slicer.util.arrayFromVolume(node), scan, result), result, _name(node, result))
    copy.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        copy.GetDisplayNode().SetAndObserveColorNodeID(node.GetDisplayNode().GetColorNodeID())
    _finishCopy(node, copy, result)
    return copy


def _carried(labels: np.ndarray, scan, result) -> np.ndarray:
    stack = Origin.stackOf(result)
    grid: Grid = replace(VolumeNodes.gridOf(scan, stack.axis), thickness=None)
    return np.ascontiguousarray(upsample_labels(Volume(labels, grid), stack.factor).voxels)


def _put(labels: np.ndarray, result, name: str):
    """Create a label map on the grid of a volume."""
    node = slicer.mrmlScene.AddNewNodeByClass(LABEL_MAP, slicer.mrmlScene.GenerateUniqueName(name))
    node.CopyOrientation(result)
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    return node


def _name(node, result) -> str:
    return slicer.mrmlScene.GenerateUniqueName(f"{node.GetName()} on {result.GetName()}")


def _finishCopy(node, copy, result) -> None:
    """Record the provenance of the copy, and place it in the study of the result."""
    Origin.describe(copy, {**Origin.factsOf(result), Origin.CONTENT: "label map of a scan, carried to its new grid"})
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, study = hierarchy.GetItemByDataNode(copy), VolumeNodes.studyOf(result)
    if item and study and hierarchy.GetItemName(study):
        hierarchy.SetItemParent(item, study)
