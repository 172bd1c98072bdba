"""Which DICOM images form one stack. No file is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import SynthesisError
from ..dicom_slice import Slice, along
from .dicom_phases import grouped, parts

LISTED = 8
"""A sentence lists no more than this."""


@dataclass(frozen=True)
class Stack:
    """Images that form one volume, sorted along the normal of their planes.

    Attributes:
        name: what selects it: the series UID, with #1, #2, ... if one series holds several stacks.
        description: for people.
        slices: at least one, by ascending distance.
        faulty: images of the series that cannot be used, so that it is not whole.
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
        """Name, description, number of images, size and spacing."""
        first = self.slices[0]
        gap = f", {np.median(np.diff(self.distances)):.4g} mm apart" if len(self.slices) > 1 else ""
        return f"{self.name} ({self.description}, {len(self.slices)} images of {first.columns} x {first.rows}{gap})"


def stacks(slices: Sequence[Slice]) -> list[Stack]:
    """The stacks that these images form; scouts, and single images beside longer series are left out.

    Images that no place is known of, or no series, stand beside the stacks; a series of such images alone is none.
    """
    lost = tuple(image for image in slices if image.fault and not image.series)
    series = grouped([image for image in slices if not image.is_localizer], lambda image: image.series)
    placed = {name: [image for image in images if _is_placed(image)] for name, images in series.items()}
    longest = max((len(images) for images in placed.values()), default=0)
    found = [
        part
        for name, images in sorted(placed.items())
        if len(images) > 1 or (images and longest == 1)
        for part in _parted(name, images, (*(image for image in series[name] if image.fault), *(lost if name else ())))
    ]
    longest = max((len(stack.slices) for stack in found), default=0)
    return [stack for stack in found if len(stack.slices) > 1 or longest == 1]


def chosen(found: Sequence[Stack], wanted: str | None, where: str, held: str = "") -> Stack:
    """The stack named `wanted`, or the only one.

    Args:
        found: to choose from.
        wanted: a name; None for the only one.
        where: they were found.
        held: what else was found there.

    Raises:
        SynthesisError: "bad-input", with a list to choose from.
    """
    matching = [stack for stack in found if wanted is None or stack.name == wanted]
    if len(matching) == 1:
        return matching[0]
    listed = "; ".join(stack.describe() for stack in found[:LISTED]) + ("; ..." if len(found) > LISTED else "")
    if not found:
        besides = f", but {held}" if held else ""
        raise SynthesisError("bad-input", f"{where} holds no CT images{besides}; give the folder of a CT series.")
    if wanted is None:
        raise SynthesisError("bad-input", f"{where} holds {len(found)} series; choose one by its name: {listed}.")
    raise SynthesisError("bad-input", f"{where} holds no series named {wanted}; choose one of: {listed}.")


def _is_placed(image: Slice) -> bool:
    return len(image.position) == 3 and len(image.orientation) == 6 and _is_plane(image.orientation)


def _is_plane(orientation: tuple[float, ...]) -> bool:
    return bool(np.linalg.norm(np.cross(orientation[:3], orientation[3:])) > 0)


def _parted(name: str, images: list[Slice], faulty: tuple[Slice, ...]) -> list[Stack]:
    """The stacks of one series: one, or where several lie among each other, those that tags tell apart."""
    description = images[0].description or "no description"
    found = parts(images)
    if len(found) == 1:
        return [Stack(name, description, tuple(_sorted(images)), faulty)]
    return [
        Stack(f"{name}#{index}", f"{description}, {label}", tuple(_sorted(part)), faulty)
        for index, (label, part) in enumerate(found, start=1)
    ]


def _sorted(images: Sequence[Slice]) -> list[Slice]:
    places = along(images, images[0])
    return [images[n] for n in np.argsort(places, kind="stable")]
