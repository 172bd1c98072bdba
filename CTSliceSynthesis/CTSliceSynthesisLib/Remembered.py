"""What nodes of the scene were like before they were changed for a while, so that all of it can go back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

COMPOSITE = (
    "BackgroundVolumeID", "ForegroundVolumeID", "LabelVolumeID", "ForegroundOpacity", "LinkedControl", "HotLinkedControl",
)  # fmt: skip
PLACE = (
    "Dimensions",
    "FieldOfView",
    "XYZOrigin",
)  # in this order: a view that grows back finds its field of view as it was
SLAB = ("SlabReconstructionEnabled", "SlabReconstructionType", "SlabReconstructionThickness")
DISPLAY = (
    "Interpolate", "AutoWindowLevel", "Window", "Level", "AutoThreshold", "ApplyThreshold", "LowerThreshold", "UpperThreshold",
    "ColorNodeID",
)  # fmt: skip
SETTERS = {"ColorNodeID": "SetAndObserveColorNodeID"}


class Remembered:
    """Values of nodes, by node and name; what is noted first stays."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}
        self._planes: dict[str, Any] = {}

    def note(self, node, names: Iterable[str]) -> None:
        """Note values that `node` has getters and setters for."""
        for name in names:
            self._values.setdefault((node.GetID(), name), getattr(node, f"Get{name}")())

    def notePlane(self, sliceNode) -> None:
        """Note which plane a slice view shows, and at what size."""
        self.note(sliceNode, PLACE)
        if sliceNode.GetID() not in self._planes:
            self._planes[sliceNode.GetID()] = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS()).copy()

    def putBack(self) -> None:
        """Give all nodes that are still there what they had, and forget it."""
        for identity, plane in self._planes.items():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                slicer.util.updateVTKMatrixFromArray(node.GetSliceToRAS(), plane)
                node.UpdateMatrices()
        for (identity, name), value in self._values.items():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                put(node, name, value)
        self._values.clear()
        self._planes.clear()


def put(node, name: str, value) -> None:
    """Set one value; a reference to a node that has gone becomes none."""
    if name.endswith("ID") and value and slicer.mrmlScene.GetNodeByID(value) is None:
        value = None
    values = value if isinstance(value, tuple) else (value,)
    getattr(node, SETTERS.get(name, f"Set{name}"))(*values)
