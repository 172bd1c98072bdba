"""Training data: a folder, or volumes of the scene, which are passed to the child process as files."""

from __future__ import annotations

import csv
import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.training.scans.scan import MIN_PIXELS, MIN_SLICES
from CTSliceSynthesisEngine.volume.grid import Grid, default_slice_axis
from slicer.i18n import tr as _

from .. import Messages
from ..Scene import Origin, VolumeNodes

PATIENT_TAG = "0010,0020"
COPIES = 3
"""Disk space as a multiple of the voxels' size: the file and its preprocessed copies."""


def inScene() -> list:
    """Return the volumes of the scene that are suitable for training."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not problem(node)]


def folderProblems(folder: Path) -> list[str]:
    """Return the reasons why a folder cannot be used for training that can be detected without reading its files."""
    if not folder.is_dir():
        return [_("There is no folder {folder}: choose a folder of CT scans.").format(folder=folder)]
    if not any(folder.iterdir()):
        return [_("The folder {folder} is empty: choose a folder of CT scans.").format(folder=folder)]
    return []


def problems(nodes: Sequence) -> list[str]:
    """Return the reasons why volumes cannot be used for training, for the user; empty if there are none."""
    if not nodes:
        return [_("There is no CT scan in the scene to learn from: load some, or choose a folder.")]
    return [found for found in map(problem, nodes) if found][:1]


def problem(node) -> str:
    """Return the reason why one volume cannot be used for training; empty if there is none."""
    for found in VolumeNodes.problems(node):
        return found
    if Origin.factsOf(node):
        return _("“{name}” was made by this module; estimates cannot be learned from.").format(name=node.GetName())
    try:
        grid = VolumeNodes.gridOf(node)
    except SynthesisError as error:
        return Messages.ofError(error)
    if grid.slice_axis != default_slice_axis(grid.spacing):
        message = _("The slices of “{name}” are closer than its pixels: choose the folder of its files instead.")
        return message.format(name=node.GetName())
    return sizeProblem(node.GetName(), grid)


def sizeProblem(name: str, grid: Grid) -> str:
    """Return a message if a scan is too small; otherwise ""."""
    pixels = [grid.size[axis] for axis in grid.in_plane_axes]
    if grid.slice_count >= MIN_SLICES and min(pixels) >= MIN_PIXELS:
        return ""
    message = _(
        "“{name}” has {slices} slices of {columns} × {rows} pixels; at least {least} slices of {width} × {width} are needed"
        " to learn from."
    )
    return message.format(
        name=name, slices=grid.slice_count, columns=pixels[0], rows=pixels[1], least=MIN_SLICES, width=MIN_PIXELS
    )


def bytesNeeded(nodes: Sequence) -> int:
    """Return the disk space that a training on these volumes needs."""
    return COPIES * sum(VolumeNodes.byteCount(node) for node in nodes)


def writeForChild(nodes: Sequence, place: Path) -> list[str]:
    """Write volumes to a folder, and their known properties to a table next to it.

    Returns:
        Arguments for the engine: the folder, and the table if it has any rows.
    """
    folder, table = place / "scans", place / "sources.csv"
    folder.mkdir()
    rows, salt = [], secrets.token_bytes(16)
    for number, node in enumerate(nodes, start=1):
        name = fileName(node) if [fileName(other) for other in nodes].count(fileName(node)) == 1 else f"scan {number}"
        VolumeNodes.writeForChild(node, folder / f"{name}.nrrd")
        thickness = VolumeNodes.dicomThickness(node)
        if thickness is not None:
            rows.append([name, repr(float(thickness)), "not given", "not given", patientOf(node, salt)])
    if not rows:
        return [str(folder)]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["scan", "thickness_mm", "source", "licence", "patient"], *rows])
    return [str(folder), "--sources", str(table)]


def writeOneForChild(node, place: Path, thickness: float | None) -> list[str]:
    """Write one volume to a folder; return the arguments for the engine: the file, and its thickness if known."""
    path = place / "scans" / f"{fileName(node)}.nrrd"
    path.parent.mkdir()
    VolumeNodes.writeForChild(node, path)
    known = VolumeNodes.dicomThickness(node) if thickness is None else thickness
    return [str(path)] if known is None else [str(path), "--thickness", repr(float(known))]


def fileName(node) -> str:
    """Return the volume's name as a file name that is valid on every system."""
    return re.sub(r"[^\w .()+-]", "_", node.GetName() or "").strip(" .")[:60] or "scan"


def patientOf(node, salt: bytes) -> str:
    """Return a hash of a DICOM volume's patient ID, which groups the scans of one patient; empty if unknown.

    The salt is not stored, so identifiers cannot be recovered by trying candidates.
    """
    uids = (node.GetAttribute(VolumeNodes.UIDS) or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    patient = database.instanceValue(uids[0], PATIENT_TAG) if uids and database is not None else ""
    return hashlib.sha256(salt + patient.encode()).hexdigest()[:16] if patient else ""
