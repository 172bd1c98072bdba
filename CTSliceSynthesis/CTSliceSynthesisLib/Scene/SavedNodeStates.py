"""Saves node properties before a temporary change, so that they can be restored."""

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
"""All properties that are ever saved; others in a file are rejected."""


class SavedNodeStates:
    """Property values by node and name; the first value saved is the one restored."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}
        self._planes: dict[str, list[list[float]]] = {}

    def note(self, node, names: Iterable[str]) -> None:
        """Save properties for which `node` has getters and setters."""
        for name in names:
            self._values.setdefault((node.GetID(), name), getattr(node, f"Get{name}")())

    def notePlane(self, sliceNode) -> None:
        """Save the plane and the scale of a slice view."""
        self.note(sliceNode, PLACE)
        if sliceNode.GetID() not in self._planes:
            self._planes[sliceNode.GetID()] = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS()).tolist()

    def putBack(self) -> None:
        """Restore all nodes that still exist, and clear the saved values."""
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
        """Return the saved values in a form that JSON can represent."""
        return {"values": [[*key, value] for key, value in self._values.items()], "planes": self._planes}


def fromFacts(facts: dict[str, Any]) -> SavedNodeStates:
    """Return the states described by `facts`; raise KeyError, TypeError or ValueError if they are invalid."""
    states = SavedNodeStates()
    for identity, name, value in facts["values"]:
        if name not in KNOWN:
            raise ValueError(f"{name} is not a known property")
        states._values[str(identity), str(name)] = tuple(value) if isinstance(value, list) else value
    for identity, plane in facts["planes"].items():
        states._planes[str(identity)] = plane
    return states


def put(node, name: str, value) -> None:
    """Set one property; a reference to a node that no longer exists becomes None.

    The field of view keeps its height; its width follows from the current size of the view.
    """
    if name.endswith("ID") and value and slicer.mrmlScene.GetNodeByID(value) is None:
        value = None
    if name == SIZE:
        wide, high = node.GetDimensions()[:2]
        value = (value[1] * wide / high, *value[1:])
    values = value if isinstance(value, tuple) else (value,)
    getattr(node, f"Set{name}")(*values)
