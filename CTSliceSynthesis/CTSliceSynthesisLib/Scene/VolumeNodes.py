"""Volume nodes: properties, and exchange of voxels with the child process (the only code that does this)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import slicer
import vtk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume.grid import Grid, default_slice_axis
from CTSliceSynthesisEngine.volume.intensity import FAT_HU
from vtk.util import numpy_support

from . import Origin

NRRD_TYPES = {
    "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "unsigned short", "int32": "int",
    "uint32": "unsigned int", "int64": "long long", "uint64": "unsigned long long", "float32": "float", "float64": "double",
}  # fmt: skip
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
UIDS = "DICOM.instanceUIDs"
THICKNESS_TAG = "0018,0050"


def problems(node) -> list[str]:
    """Return the reasons why a volume cannot be processed, as messages for the user; empty if there are none."""
    if node is None:
        return ["Choose an input volume."]
    image = node.GetImageData()
    if image is None or not image.GetPointData().GetScalars():
        return [f"The volume “{node.GetName()}” holds no voxels."]
    if node.GetClassName() != "vtkMRMLScalarVolumeNode" or image.GetNumberOfScalarComponents() != 1:
        return [f"“{node.GetName()}” is not a volume of single values: convert it to a scalar volume first."]
    if hasNonlinearTransform(node):
        return [
            f"“{node.GetName()}” lies under a non-linear transform, as Slicer gives to slices that are not evenly spaced:"
            " make an evenly spaced copy first."
        ]
    low, high = node.GetImageData().GetScalarRange()
    if not math.isfinite(low) or not math.isfinite(high):
        return ["Some voxels are not finite numbers: replace them by -1024 (air) first."]
    if low == high:
        return [f"All voxels have the value {low:g}, so there is nothing to synthesize."]
    return []


def hasNonlinearTransform(node) -> bool:
    """True under a non-linear parent transform, such as the one that Slicer creates for unevenly spaced slices."""
    parent = node.GetParentTransformNode()
    return parent is not None and not parent.IsTransformToWorldLinear()


def gridOf(node, sliceAxis: int | None = None, thickness: float | None = None) -> Grid:
    """Return the grid of a volume: its IJK-to-RAS matrix including shear, before any parent transform.

    Args:
        node: a volume without `problems`.
        sliceAxis: 0, 1 or 2; None selects k for DICOM, else the axis with the largest spacing.
        thickness: slice thickness in mm; None uses the DICOM value.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    size = node.GetImageData().GetDimensions()
    known = dicomThickness(node) if thickness is None else thickness
    grid = Grid(tuple(size), slicer.util.arrayFromVTKMatrix(matrix), 2, known)
    defaultAxis = 2 if node.GetAttribute(UIDS) else default_slice_axis(grid.spacing)
    grid = replace(grid, slice_axis=defaultAxis if sliceAxis is None else sliceAxis)
    if grid.slice_count < 2:
        raise SynthesisError(
            "bad-input", f"At least two slices are needed along {'ijk'[grid.slice_axis]}, found {grid.slice_count}."
        )
    return grid


def dtypeOf(node) -> np.dtype:
    """Return the voxel type of a volume."""
    return dtypeOfScalars(node.GetImageData().GetScalarType())


def dtypeOfScalars(scalarType: int) -> np.dtype:
    """Return the NumPy type of a VTK scalar type."""
    return np.dtype(numpy_support.get_numpy_array_type(scalarType))


def dicomThickness(node) -> float | None:
    """Return the slice thickness in mm on which the first, middle and last DICOM headers agree; None if unknown."""
    uids = (node.GetAttribute(UIDS) or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None:
        return None
    texts = {database.instanceValue(uids[index], THICKNESS_TAG) for index in (0, len(uids) // 2, -1)}
    try:
        (thickness,) = {float(text) for text in texts}
    except ValueError:
        return None
    return thickness if 0 < thickness < math.inf else None


def looksLikeCt(node) -> bool:
    """False if no voxel is as low as fat or air, which every body CT contains."""
    return node.GetImageData().GetScalarRange()[0] < FAT_HU


def byteCount(node) -> int:
    """Return the size of all voxels in bytes."""
    image = node.GetImageData()
    return image.GetNumberOfPoints() * image.GetScalarSize()


def writeForChild(node, path: Path) -> None:
    """Write the volume as uncompressed NRRD with its matrix in full precision; the voxels are not copied in memory."""
    writeVoxels(slicer.util.arrayFromVolume(node), node, path)


def writeVoxels(voxels: np.ndarray, node, path: Path) -> None:
    """Write voxels (k, j, i) on the grid of a volume, like `writeForChild`."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    lps = RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(matrix)
    with path.open("wb") as file:
        file.write(nrrdHeader(voxels, lps).encode("ascii"))
        for plane in voxels:
            file.write(np.ascontiguousarray(plane).data)


def nrrdHeader(voxels: np.ndarray, lps: np.ndarray) -> str:
    columns = " ".join(vectorText(lps[:3, axis]) for axis in range(3))
    lines = [
        "NRRD0005",
        f"type: {NRRD_TYPES[voxels.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, voxels.shape[::-1]))}",
        f"space directions: {columns}",
        "kinds: domain domain domain",
        f"endian: {'little' if np.little_endian else 'big'}",
        "encoding: raw",
        f"space origin: {vectorText(lps[:3, 3])}",
    ]
    return "\n".join(lines) + "\n\n"


def vectorText(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


@dataclass(frozen=True)
class Appearance:
    """What a result inherits from its input, recorded when the run starts, since the input may change or be removed meanwhile.

    Attributes:
        transformID: parent transform.
        studyItem: subject hierarchy item of the input's parent.
        display: a copy of the display node, not in a scene; None if there is none.
        quantity, units: what the voxels measure, as coded entries in text form.
    """

    transformID: str | None
    studyItem: int
    display: object | None
    quantity: str | None
    units: str | None


def appearanceOf(node) -> Appearance:
    """Record the appearance of a volume and its place in the hierarchy."""
    display, copy = node.GetScalarVolumeDisplayNode(), None
    if display is not None:
        copy = slicer.vtkMRMLScalarVolumeDisplayNode()
        copyDisplay(display, copy)
    quantity, units = node.GetVoxelValueQuantity(), node.GetVoxelValueUnits()
    return Appearance(
        node.GetTransformNodeID(),
        studyOf(node),
        copy,
        quantity.GetAsString() if quantity else None,
        units.GetAsString() if units else None,
    )


def studyOf(node) -> int:
    """Return the parent item of a volume in the subject hierarchy; 0 if none (frames of a sequence have no item)."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) if node.GetScene() is slicer.mrmlScene else 0
    return hierarchy.GetItemParent(item) if item else 0


def copyDisplay(source, target) -> None:
    """Copy window, level, colors, threshold and interpolation."""
    target.SetAutoWindowLevel(False)
    target.SetWindowLevel(source.GetWindow(), source.GetLevel())
    target.SetInterpolate(source.GetInterpolate())
    target.SetAutoThreshold(False)
    target.SetThreshold(source.GetLowerThreshold(), source.GetUpperThreshold())
    target.SetApplyThreshold(source.GetApplyThreshold())
    if source.GetColorNodeID():
        target.SetAndObserveColorNodeID(source.GetColorNodeID())


def readResult(path: Path, grid: Grid, scalarType: int):
    """Read an image that the child wrote, as vtkImageData.

    Raises:
        SynthesisError: "internal" if the image does not match what was requested.
    """
    import SimpleITK

    dtype = dtypeOfScalars(scalarType)
    image = SimpleITK.ReadImage(str(path))
    voxels = SimpleITK.GetArrayViewFromImage(image)
    if image.GetSize() != grid.size or voxels.dtype != dtype:
        actual = f"{image.GetSize()} voxels of {voxels.dtype}"
        raise SynthesisError("internal", f"The result should have {grid.size} voxels of {dtype}, but has {actual}.")
    if not grid.matches(replace(grid, matrix=rasOf(image))):
        raise SynthesisError("internal", "The result does not lie where it was planned to.")
    vtkImage = vtk.vtkImageData()
    vtkImage.SetDimensions(grid.size)
    vtkImage.AllocateScalars(scalarType, 1)
    numpy_support.vtk_to_numpy(vtkImage.GetPointData().GetScalars()).reshape(voxels.shape)[:] = voxels
    return vtkImage


def rasOf(image) -> np.ndarray:
    """Return the (4, 4) IJK-to-RAS matrix in mm of a SimpleITK image."""
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return RAS_TO_LPS @ lps


def put(image, grid: Grid, target, name: str, appearance: Appearance, facts: Mapping[str, str]):
    """Put a finished image into `target`, or into a new volume node; the volume changes completely or not at all."""
    node = target if target is not None else slicer.vtkMRMLScalarVolumeNode()
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.array(grid.matrix)))
        node.SetAndObserveImageData(image)
        node.RemoveAttribute(UIDS)  # the result is not a series in the DICOM database
        Origin.describe(node, facts)
        setMeaning(node, appearance)
    if target is None:
        node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        node = slicer.mrmlScene.AddNode(node)
    if slicer.mrmlScene.GetNodeByID(appearance.transformID or "") is not None:
        node.SetAndObserveTransformNodeID(appearance.transformID)
    else:
        node.SetAndObserveTransformNodeID(None)
    applyAppearance(node, appearance)
    return node


def setMeaning(node, appearance: Appearance) -> None:
    """Set the quantity and units of the voxels, as in the input."""
    for text, put in ((appearance.quantity, node.SetVoxelValueQuantity), (appearance.units, node.SetVoxelValueUnits)):
        if text is not None:
            entry = slicer.vtkCodedEntry()
            entry.SetFromString(text)
            put(entry)


def applyAppearance(node, appearance: Appearance) -> None:
    """Apply the display and the study of the input; does nothing for a volume outside a scene."""
    if node.GetScene() is None:
        return
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    if appearance.display is not None:
        copyDisplay(appearance.display, node.GetDisplayNode())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    if item and appearance.studyItem and hierarchy.GetItemName(appearance.studyItem):
        hierarchy.SetItemParent(item, appearance.studyItem)


def save(node, path: Path) -> None:
    """Write a volume as NRRD, with its provenance in the file header.

    Slicer's default storage of scalar volumes writes node attributes to the scene file only.

    Raises:
        SynthesisError: "cannot-write".
    """
    if path.suffix not in (".nrrd", ".nhdr"):
        raise SynthesisError(
            "cannot-write", f"Only NRRD files say how a result was made: name it *.nrrd, not {path.name}."
        )
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(True)
    if not storage.WriteData(node):
        raise SynthesisError("cannot-write", f"{path} could not be written: choose another folder.")


def evenlySpacedCopy(node):
    """Create a resampled, evenly spaced copy of a volume that is under a non-linear transform."""
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, node, f"{node.GetName()} evenly spaced")
    copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    slicer.vtkSlicerTransformLogic.hardenTransform(copy)
    copy.RemoveAttribute(UIDS)  # resampled: no longer the original slices
    return copy
