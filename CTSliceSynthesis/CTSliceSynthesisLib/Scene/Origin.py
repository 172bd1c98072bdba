"""What a result remembers of how it was made: attributes, and references to the volumes that belong to it.

Both are kept when the scene is saved; the attributes also in the header of an NRRD file that is written from the volume.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "CTSliceSynthesis."
SOURCE, EXPECTED_ERROR, DISAGREEMENT = "source", "expectedError", "disagreement"
"""Roles of the volumes that belong to a result."""
CONTENT = "content"
"""Attribute of a volume of figures: what they are."""
AXES = {"i": 0, "j": 1, "k": 2}
COINCIDENT = 1e-3
"""Spacings of acquired slices: a slice so near to the place of one is that one, as the engine has it."""
NUMBER = re.compile(r"\d{1,3}(\.\d{1,12})?")


@dataclass(frozen=True)
class Stack:
    """Which slices of a result were acquired: the first, and every `factor`-th from there, where there is such a slice.

    Attributes:
        factor: how many times closer its slices are than the acquired ones; not whole for an exact spacing.
        axis: 0, 1 or 2: the axis along which they are stacked.
        count: how many slices it has.
        thinned: thin estimates lie in the places of the acquired slices.
    """

    factor: float
    axis: int
    count: int
    thinned: bool = False

    def place(self, index: int) -> float:
        """Where a slice of the result lies, in acquired slices; whole if it is one."""
        place = index / self.factor
        return float(round(place)) if abs(place - round(place)) < COINCIDENT else place


def describe(node, facts: dict[str, str]) -> None:
    """Keep facts as the node's attributes; those of an earlier result go."""
    for name in list(node.GetAttributeNames()):
        if name.startswith(PREFIX):
            node.RemoveAttribute(name)
    for key, value in facts.items():
        node.SetAttribute(PREFIX + key, value)


def factsOf(node) -> dict[str, str]:
    """What a node remembers."""
    names = [name for name in node.GetAttributeNames() if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): node.GetAttribute(name) for name in names}


def refer(result, role: str, node) -> None:
    """Let a result remember a volume that belongs to it; None lets it forget."""
    result.SetNodeReferenceID(PREFIX + role, node.GetID() if node is not None else None)


def companion(result, role: str):
    """The volume that plays a role for a result; None if there is none, or if it has gone."""
    return None if result is None else result.GetNodeReference(PREFIX + role)


def companions(result) -> list:
    """All volumes that belong to a result and are there."""
    found = (companion(result, role) for role in (SOURCE, EXPECTED_ERROR, DISAGREEMENT))
    return [node for node in found if node is not None]


def isFigure(node) -> bool:
    """True for a volume of figures about a result, such as its expected error: no slices of a patient."""
    return node.GetAttribute(PREFIX + CONTENT) is not None


def stackOf(node, described=None) -> Stack | None:
    """The slices of a result; None for any other volume, and for one that was cropped or resampled since.

    Args:
        node: a volume, or None.
        described: the node that remembers how it was made, where it does not do so itself.
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
