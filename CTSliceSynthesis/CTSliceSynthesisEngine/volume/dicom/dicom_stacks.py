"""Grouping of DICOM images into stacks. No files are opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import SynthesisError
from ..dicom_slice import Slice, along
from .dicom_phases import grouped, parts

LISTED = 8
"""Maximum number of items listed in a message."""


@dataclass(frozen=True)
class Stack:
    """Images that form one volume, sorted along the normal of their planes.

    Attributes:
        name: used for selection: the series UID, followed by #1, #2, ... if a series contains several stacks.
        description: for display.
        slices: at least one, by ascending distance.
        faulty: unusable images of the series, which make it incomplete.
    """

    name: str
    description: str
    slices: tuple[Slice, ...]
    faulty: tuple[Slice, ...] = ()

    @property
    def distances(self) -> np.ndarray:
        """(N,) positions in mm along the normal, ascending."""
        return along(self.slices, self.slices[0])

    def describe(self) -> str:
        """Return name, description, number of images, size and spacing."""
        first = self.slices[0]
        gap = f", {np.median(np.diff(self.distances)):.4g} mm apart" if len(self.slices) > 1 else ""
        return f"{self.name} ({self.description}, {len(self.slices)} images of {first.columns} x {first.rows}{gap})"


def stacks(slices: Sequence[Slice]) -> list[Stack]:
    """Group images into stacks, without scouts and without single images if there are longer series.

    Images without a position or a series do not belong to any stack; a series of only such images is not a stack.
    """
    lost = tuple(image for image in slices if image.fault and not image.series)
    series = grouped([image for image in slices if not image.is_localizer], lambda image: image.series)
    placed = {name: [image for image in images if _is_placed(image)] for name, images in series.items()}
    longest = max((len(images) for images in placed.values()), default=0)
    result = [
        part
        for name, images in sorted(placed.items())
        if len(images) > 1 or (images and longest == 1)
        for part in _split(name, images, (*(image for image in series[name] if image.fault), *(lost if name else ())))
    ]
    longest = max((len(stack.slices) for stack in result), default=0)
    return [stack for stack in result if len(stack.slices) > 1 or longest == 1]


def select(available: Sequence[Stack], name: str | None, where: str, ignored: str = "") -> Stack:
    """Return the stack called `name`, or the only one.

    Args:
        available: stacks to choose from.
        name: of the stack; None for the only one.
        where: description of their location.
        ignored: description of other content.

    Raises:
        SynthesisError: "bad-input", with a list to choose from.
    """
    matching = [stack for stack in available if name is None or stack.name == name]
    if len(matching) == 1:
        return matching[0]
    listed = "; ".join(stack.describe() for stack in available[:LISTED]) + ("; ..." if len(available) > LISTED else "")
    if not available:
        besides = f", but {ignored}" if ignored else ""
        raise SynthesisError("bad-input", f"{where} holds no CT images{besides}; give the folder of a CT series.")
    if name is None:
        raise SynthesisError("bad-input", f"{where} holds {len(available)} series; choose one by its name: {listed}.")
    raise SynthesisError("bad-input", f"{where} holds no series named {name}; choose one of: {listed}.")


def _is_placed(image: Slice) -> bool:
    return len(image.position) == 3 and len(image.orientation) == 6 and _is_plane(image.orientation)


def _is_plane(orientation: tuple[float, ...]) -> bool:
    return bool(np.linalg.norm(np.cross(orientation[:3], orientation[3:])) > 0)


def _split(name: str, images: list[Slice], faulty: tuple[Slice, ...]) -> list[Stack]:
    """Return the stacks of one series: one, or several interleaved ones separated by their tags."""
    description = images[0].description or "no description"
    result = parts(images)
    if len(result) == 1:
        return [Stack(name, description, tuple(_sorted(images)), faulty)]
    return [
        Stack(f"{name}#{index}", f"{description}, {label}", tuple(_sorted(part)), faulty)
        for index, (label, part) in enumerate(result, start=1)
    ]


def _sorted(images: Sequence[Slice]) -> list[Slice]:
    positions = along(images, images[0])
    return [images[n] for n in np.argsort(positions, kind="stable")]
