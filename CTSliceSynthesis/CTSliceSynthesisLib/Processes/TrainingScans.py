"""What a training in Slicer learns from: a folder, or volumes of the scene, which are handed over as files."""

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
"""Times the voxels' size: the file, and what is made ready of it."""


def inScene() -> list:
    """The volumes of the scene that can be learned from."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not problem(node)]


def folderProblems(folder: Path) -> list[str]:
    """Why a folder cannot be learned from, as far as it can be told without reading its files."""
    if not folder.is_dir():
        return [_("There is no folder {folder}: choose a folder of CT scans.").format(folder=folder)]
    if not any(folder.iterdir()):
        return [_("The folder {folder} is empty: choose a folder of CT scans.").format(folder=folder)]
    return []


def problems(nodes: Sequence) -> list[str]:
    """Why volumes cannot be learned from, in the user's words; empty when they can."""
    if not nodes:
        return [_("There is no CT scan in the scene to learn from: load some, or choose a folder.")]
    return [found for found in map(problem, nodes) if found][:1]


def problem(node) -> str:
    """Why one volume cannot be learned from; empty when it can."""
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
    """Why a scan is too small; empty where it is not."""
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
    """Disk space that volumes take while they are learned from."""
    return COPIES * sum(VolumeNodes.byteCount(node) for node in nodes)


def handOver(nodes: Sequence, place: Path) -> list[str]:
    """Write volumes into a folder, and what is known of them into a table beside it.

    Returns:
        Arguments for the engine: the folder, and the table where it says anything.
    """
    folder, table = place / "scans", place / "sources.csv"
    folder.mkdir()
    rows, salt = [], secrets.token_bytes(16)
    for number, node in enumerate(nodes, start=1):
        name = fileName(node) if [fileName(other) for other in nodes].count(fileName(node)) == 1 else f"scan {number}"
        VolumeNodes.handOver(node, folder / f"{name}.nrrd")
        thickness = VolumeNodes.dicomThickness(node)
        if thickness is not None:
            rows.append([name, repr(float(thickness)), "not given", "not given", patientOf(node, salt)])
    if not rows:
        return [str(folder)]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["scan", "thickness_mm", "source", "licence", "patient"], *rows])
    return [str(folder), "--sources", str(table)]


def handOverOne(node, place: Path, thickness: float | None) -> list[str]:
    """Write one volume into a folder; arguments for the engine: the file, and its thickness where it is known."""
    path = place / "scans" / f"{fileName(node)}.nrrd"
    path.parent.mkdir()
    VolumeNodes.handOver(node, path)
    known = VolumeNodes.dicomThickness(node) if thickness is None else thickness
    return [str(path)] if known is None else [str(path), "--thickness", repr(float(known))]


def fileName(node) -> str:
    """The volume's name as that of a file on any system."""
    return re.sub(r"[^\w .()+-]", "_", node.GetName() or "").strip(" .")[:60] or "scan"


def patientOf(node, salt: bytes) -> str:
    """A hash of who a DICOM volume shows, so that scans of one patient stay together; empty where it is unknown.

    The salt is kept nowhere: nobody can try out identifiers until one fits.
    """
    uids = (node.GetAttribute(VolumeNodes.UIDS) or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    patient = database.instanceValue(uids[0], PATIENT_TAG) if uids and database is not None else ""
    return hashlib.sha256(salt + patient.encode()).hexdigest()[:16] if patient else ""
