"""What nodes of the scene were like before they were changed for a while, so that all of it can go back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import slicer

COMPOSITE = (
    "BackgroundVolumeID", "ForegroundVolumeID", "LabelVolumeID", "ForegroundOpacity", "LabelOpacity", "LinkedControl",
    "HotLinkedControl",
)  # fmt: skip
SIZE, PLACE = "FieldOfView", ("FieldOfView", "XYZOrigin")
SLAB = ("SlabReconstructionEnabled", "SlabReconstructionType", "SlabReconstructionThickness", "UseLabelOutline")
WINDOW = ("AutoWindowLevel", "Window", "Level")
INTERPOLATION = ("Interpolate",)
IN_3D = ("Visibility", "LinkedControl")
KNOWN = {*COMPOSITE, *PLACE, *SLAB, *WINDOW, *INTERPOLATION, *IN_3D}
"""All that is ever noted; nothing else is taken from a file."""


class SavedNodeStates:
    """Values of nodes, by node and name; what is noted first stays."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}
        self._planes: dict[str, list[list[float]]] = {}

    def note(self, node, names: Iterable[str]) -> None:
        """Note values that `node` has getters and setters for."""
        for name in names:
            self._values.setdefault((node.GetID(), name), getattr(node, f"Get{name}")())

    def notePlane(self, sliceNode) -> None:
        """Note which plane a slice view shows, and at what scale."""
        self.note(sliceNode, PLACE)
        if sliceNode.GetID() not in self._planes:
            self._planes[sliceNode.GetID()] = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS()).tolist()

    def putBack(self) -> None:
        """Give all nodes that are still there what they had, and forget it."""
        for (identity, name), value in self._values.items():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                put(node, name, value)
        for identity, plane in self._planes.items():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                slicer.util.updateVTKMatrixFromArray(node.GetSliceToRAS(), np.array(plane))
                node.UpdateMatrices()
        self._values.clear()
        self._planes.clear()

    def facts(self) -> dict[str, Any]:
        """What is remembered, as JSON knows it."""
        return {"values": [[*key, value] for key, value in self._values.items()], "planes": self._planes}


def fromFacts(facts: dict[str, Any]) -> SavedNodeStates:
    """What `facts` gave; KeyError, TypeError or ValueError where they make no sense."""
    found = SavedNodeStates()
    for identity, name, value in facts["values"]:
        if name not in KNOWN:
            raise ValueError(f"{name} is nothing that is noted")
        found._values[str(identity), str(name)] = tuple(value) if isinstance(value, list) else value
    for identity, plane in facts["planes"].items():
        found._planes[str(identity)] = plane
    return found


def put(node, name: str, value) -> None:
    """Set one value; a reference to a node that has gone becomes none.

    The field of view keeps its height and fits the size that the view has by now: one that grows back finds its width, too.
    """
    if name.endswith("ID") and value and slicer.mrmlScene.GetNodeByID(value) is None:
        value = None
    if name == SIZE:
        wide, high = node.GetDimensions()[:2]
        value = (value[1] * wide / high, *value[1:])
    values = value if isinstance(value, tuple) else (value,)
    getattr(node, f"Set{name}")(*values)
