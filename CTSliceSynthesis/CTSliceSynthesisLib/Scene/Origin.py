"""Provenance of a result: node attributes, and references to its related volumes.

Both are saved with the scene; the attributes are also written to the header of an NRRD file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "CTSliceSynthesis."
SOURCE, EXPECTED_ERROR, DISAGREEMENT = "source", "expectedError", "disagreement"
"""Roles of the volumes related to a result."""
CONTENT = "content"
"""Attribute of a derived map (not an image of the patient): what its values are."""
AXES = {"i": 0, "j": 1, "k": 2}
COINCIDENT = 1e-3
"""In acquired slice spacings: a slice this close to an acquired one is that slice (same value as in the engine)."""
NUMBER = re.compile(r"\d{1,3}(\.\d{1,12})?")


@dataclass(frozen=True)
class Stack:
    """Which slices of a result were acquired: the first, and every `factor`-th after it that exists.

    Attributes:
        factor: upsampling factor; not an integer for an exact spacing.
        axis: slice axis: 0, 1 or 2.
        count: number of slices.
        thinned: the acquired slices were replaced by thin estimates.
    """

    factor: float
    axis: int
    count: int
    thinned: bool = False

    def place(self, index: int) -> float:
        """Return the position of a slice of the result in units of acquired slices; an integer at an acquired slice."""
        place = index / self.factor
        return float(round(place)) if abs(place - round(place)) < COINCIDENT else place


def describe(node, facts: dict[str, str]) -> None:
    """Store facts as the node's attributes, replacing those of an earlier result."""
    for name in list(node.GetAttributeNames()):
        if name.startswith(PREFIX):
            node.RemoveAttribute(name)
    for key, value in facts.items():
        node.SetAttribute(PREFIX + key, value)


def factsOf(node) -> dict[str, str]:
    """Return the facts stored in a node."""
    names = [name for name in node.GetAttributeNames() if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): node.GetAttribute(name) for name in names}


def refer(result, role: str, node) -> None:
    """Store a reference from a result to a related volume; None removes it."""
    result.SetNodeReferenceID(PREFIX + role, node.GetID() if node is not None else None)


def companion(result, role: str):
    """Return the related volume with a role; None if there is none or it was removed."""
    return None if result is None else result.GetNodeReference(PREFIX + role)


def companions(result) -> list:
    """Return all related volumes of a result that exist."""
    nodes = (companion(result, role) for role in (SOURCE, EXPECTED_ERROR, DISAGREEMENT))
    return [node for node in nodes if node is not None]


def isFigure(node) -> bool:
    """True for a derived map of a result, such as its expected error, which is not an image of the patient."""
    return node.GetAttribute(PREFIX + CONTENT) is not None


def stackOf(node, described=None) -> Stack | None:
    """Return the stack of a result; None for any other volume, and for one that was cropped or resampled since.

    Args:
        node: a volume, or None.
        described: the node with the provenance, if it is not `node` itself.
    """
    if node is None or not node.IsA("vtkMRMLVolumeNode") or node.GetImageData() is None:
        return None
    if isFigure(described or node):
        return None
    facts = factsOf(described or node)
    factor, axis = facts.get("factor", ""), AXES.get(facts.get("slice_axis"))
    if not NUMBER.fullmatch(factor) or float(factor) <= 1 or axis is None:
        return None
    count = node.GetImageData().GetDimensions()[axis]
    even = float(factor).is_integer()
    whole = count > 1 and (count - 1) % int(factor) == 0 if even else facts.get("slices") == str(count)
    return Stack(float(factor), axis, count, facts.get("acquired") == "thin") if whole else None
