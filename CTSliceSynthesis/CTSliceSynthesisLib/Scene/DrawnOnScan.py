"""Segmentations and label maps of a scan, and their copies on the grid of its result.

Markups are defined in patient coordinates, not on a voxel grid, so they need no transfer and show on both volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from CTSliceSynthesisEngine.jobs.label_output import CONTENT
from slicer.i18n import tr as _
from vtk.util import numpy_support

from . import Origin, VolumeNodes

SEGMENTATION, LABEL_MAP = "vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"
LABEL_TYPE = np.dtype(np.int16)


@dataclass(frozen=True)
class Drawing:
    """A segmentation or label map as it was when its transfer began: the node may change or be removed meanwhile.

    Attributes:
        name: of the node.
        layers: (k, j, i) label maps on the scan's grid: one of a label map; of a segmentation, one for each group of segments
            that do not overlap.
        segments: for each layer, identifier -> vtkSegment with the metadata of a segment, in the order of its labels 1,
            2, ...; None for a label map.
        colorID: color table of a label map.
    """

    name: str
    layers: list[np.ndarray]
    segments: list[dict[str, object]] | None = None
    colorID: str | None = None


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


def drawings(scan) -> list[Drawing]:
    """Return what was drawn on a scan."""
    return [_segments(node, scan) if node.IsA(SEGMENTATION) else _labels(node) for node in drawnOn(scan)]


def _labels(node) -> Drawing:
    display = node.GetDisplayNode()
    return Drawing(
        node.GetName(), [slicer.util.arrayFromVolume(node)], colorID=display.GetColorNodeID() if display else None
    )


def _segments(node, scan) -> Drawing:
    drawing = Drawing(node.GetName(), [], [])
    segmentation = node.GetSegmentation()
    for identifier in segmentation.GetSegmentIDs():
        inside = _voxels(node, identifier, scan) > 0
        free = [number for number, layer in enumerate(drawing.layers) if not layer[inside].any()]
        if not free:
            free = [len(drawing.layers)]
            drawing.layers.append(np.zeros(inside.shape, LABEL_TYPE))
            drawing.segments.append({})
        metadata = slicer.vtkSegment()
        metadata.DeepCopyMetadata(segmentation.GetSegment(identifier))
        drawing.segments[free[0]][identifier] = metadata
        drawing.layers[free[0]][inside] = len(drawing.segments[free[0]])
    return drawing


def _voxels(node, identifier: str, scan) -> np.ndarray:
    """Return a segment on the scan's grid, above 0 inside; nothing is added to the scene."""
    image, extent = slicer.vtkOrientedImageData(), slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.GenerateMergedLabelmapInReferenceGeometry(node, scan, _array([identifier]), extent, image)
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _array(identifiers):
    """Wrap segment identifiers in the array type that Slicer's logic expects."""
    array = vtk.vtkStringArray()
    for identifier in identifiers:
        array.InsertNextValue(identifier)
    return array


def addCopy(drawing: Drawing, images: list, result):
    """Add a copy of a drawing to the scene, on the grid of the result.

    Args:
        drawing: its names, colors and metadata are used.
        images: the layers on the new grid, vtkImageData.
        result: the thin volume.

    Returns:
        The new node, named after the original and the result.
    """
    name = slicer.mrmlScene.GenerateUniqueName(f"{drawing.name} on {result.GetName()}")
    if drawing.segments is None:
        copy = _labelMap(images[0], result, name)
        copy.CreateDefaultDisplayNodes()
        if drawing.colorID is not None and slicer.mrmlScene.GetNodeByID(drawing.colorID) is not None:
            copy.GetDisplayNode().SetAndObserveColorNodeID(drawing.colorID)
    else:
        copy = slicer.mrmlScene.AddNewNodeByClass(SEGMENTATION, name)
        copy.CreateDefaultDisplayNodes()
        copy.SetReferenceImageGeometryParameterFromVolumeNode(result)
        copy.SetAndObserveTransformNodeID(result.GetTransformNodeID())
        for segments, image in zip(drawing.segments, images, strict=True):
            _addSegments(copy, segments, image, result)
    _finishCopy(copy, result)
    return copy


def _addSegments(node, segments: dict, image, result) -> None:
    """Add segments to a segmentation from a label map on the grid of the result; they share its voxels."""
    for identifier, segment in segments.items():
        node.GetSegmentation().AddSegment(segment, identifier)
    temporary = _labelMap(image, result, "transferred")
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.ImportLabelmapToSegmentationNode(temporary, node, _array(segments))
    finally:
        slicer.mrmlScene.RemoveNode(temporary)


def _labelMap(image, result, name: str):
    """Add a label map on the grid of a volume."""
    node = slicer.mrmlScene.AddNewNodeByClass(LABEL_MAP, name)
    node.CopyOrientation(result)
    node.SetAndObserveImageData(image)
    node.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    return node


def _finishCopy(copy, result) -> None:
    """Record the provenance of the copy, and place it in the study of the result."""
    Origin.describe(copy, {**Origin.factsOf(result), Origin.CONTENT: CONTENT})
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, study = hierarchy.GetItemByDataNode(copy), VolumeNodes.studyOf(result)
    if item and study and hierarchy.GetItemName(study):
        hierarchy.SetItemParent(item, study)
