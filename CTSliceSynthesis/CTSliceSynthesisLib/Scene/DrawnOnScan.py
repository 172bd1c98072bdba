"""What was drawn on a scan, carried to the slices of its result: segmentations and label maps.

Markups lie in the patient, not in a grid of voxels: they are where they were, and show on both.
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
    """Segmentations that were drawn on a scan, and label maps on its grid."""
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
    """Why nothing can be carried to a volume, in the user's words; empty when all is well."""
    if result is None or Origin.stackOf(result) is None:
        return [_("Segmentations follow a scan to its result: choose one, neither cropped nor resampled since.")]
    scan = Origin.companion(result, Origin.SOURCE)
    if scan is None:
        return [_("The scan of “{name}” is not in the scene: load it first.").format(name=result.GetName())]
    stack = Origin.stackOf(result)
    if not VolumeNodes.gridOf(scan, stack.axis).upsampled(stack.factor).matches(VolumeNodes.gridOf(result, stack.axis)):
        return [
            _("“{name}” does not lie on the scan “{scan}” any more: increase it anew.").format(
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
    """Copies of what was drawn on the scan, on the slices of the result; the originals stay as they are.

    Args:
        result: a volume for which there are no `problems`.

    Returns:
        New nodes: named after the originals and the result, with their segments, names and colours.
    """
    scan = Origin.companion(result, Origin.SOURCE)
    made = []
    for node in drawnOn(scan):
        made.append(_segmentation(node, scan, result) if node.IsA(SEGMENTATION) else _labelMap(node, scan, result))
    return made


def _segmentation(node, scan, result):
    """A copy of a segmentation; of segments that overlap, each is carried on its own."""
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
    _dress(node, copy, result)
    return copy


def _layers(node, scan):
    """Segments that do not overlap, by their identifiers, and label maps (k, j, i) that hold them as 1, 2, ..."""
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
    """Give a segment its voxels, on the grid of the result."""
    if not inside.any():
        return
    temporary = _put(inside.astype(np.uint8), result, "carried")
    try:
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(temporary, node, _array(identifier))
    finally:
        slicer.mrmlScene.RemoveNode(temporary)


def _array(identifier: str):
    """The identifier of a segment as the logic takes several of them."""
    identifiers = vtk.vtkStringArray()
    identifiers.InsertNextValue(identifier)
    return identifiers


def _voxels(node, identifier: str, scan) -> np.ndarray:
    """A segment on the scan's grid, above 0 within; in its own memory."""
    temporary = slicer.mrmlScene.AddNewNodeByClass(LABEL_MAP, "exported")
    try:
        slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
            node, _array(identifier), temporary, scan, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
        )
        return slicer.util.arrayFromVolume(temporary).copy()
    finally:
        slicer.mrmlScene.RemoveNode(temporary)


def _labelMap(node, scan, result):
    """A copy of a label map, with its colours."""
    copy = _put(_carried(slicer.util.arrayFromVolume(node), scan, result), result, _name(node, result))
    copy.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        copy.GetDisplayNode().SetAndObserveColorNodeID(node.GetDisplayNode().GetColorNodeID())
    _dress(node, copy, result)
    return copy


def _carried(labels: np.ndarray, scan, result) -> np.ndarray:
    stack = Origin.stackOf(result)
    grid: Grid = replace(VolumeNodes.gridOf(scan, stack.axis), thickness=None)
    return np.ascontiguousarray(upsample_labels(Volume(labels, grid), stack.factor).voxels)


def _put(labels: np.ndarray, result, name: str):
    """A new label map on the grid of a volume."""
    node = slicer.mrmlScene.AddNewNodeByClass(LABEL_MAP, slicer.mrmlScene.GenerateUniqueName(name))
    node.CopyOrientation(result)
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    return node


def _name(node, result) -> str:
    return slicer.mrmlScene.GenerateUniqueName(f"{node.GetName()} on {result.GetName()}")


def _dress(node, copy, result) -> None:
    """Remember what the copy is, and put it beside the result in its study."""
    Origin.describe(copy, {**Origin.factsOf(result), Origin.CONTENT: "label map of a scan, carried to its new grid"})
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, study = hierarchy.GetItemByDataNode(copy), VolumeNodes.studyOf(result)
    if item and study and hierarchy.GetItemName(study):
        hierarchy.SetItemParent(item, study)
