"""Which DICOM images form one stack, and where that stack lies. No file is opened here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from .grid import STRAIGHT_DEGREES

PHASES = (
    "acquisition",
    "temporal position",
    "trigger time",
    "cardiac phase",
    "echo",
    "kVp",
    "image type",
    "kernel",
    "time",
)
"""What may tell apart images at the same place, the most telling first: the order of Slice.phase."""
SAME_PLACE_MM = 0.01  # images nearer to each other show the same slice
ROUNDING_MM = 0.02  # positions are often stored with two decimals
IRREGULAR = 0.02  # a gap may differ from the median by this share of it
LISTED = 8  # a sentence lists no more than this


@dataclass(frozen=True)
class Slice:
    """What the header of one DICOM image, or of one frame of a multi-frame file, says.

    Attributes:
        path: its file; frame: index in that file; uid: SOP instance UID.
        series: series instance UID; description: of the series.
        columns, rows: its size; pixel_spacing: mm along (i, j), that is between columns and between rows.
        position: LPS mm of the centre of its first pixel; orientation: LPS unit steps along i, then j.
        thickness: mm, None if not given; is_whole: whole numbers after rescaling; is_localizer: a scout image.
        phase: values of PHASES, "" where there is none.
    """

    path: Path
    frame: int
    uid: str
    series: str
    description: str
    columns: int
    rows: int
    pixel_spacing: tuple[float, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    thickness: float | None
    is_whole: bool
    is_localizer: bool
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Stack:
    """Images that form one volume, sorted along the normal of their planes.

    Attributes:
        name: what selects it: the series UID, with #1, #2, ... if one series holds several stacks.
        description: for people.
        slices: at least one, by ascending distance.
    """

    name: str
    description: str
    slices: tuple[Slice, ...]

    @property
    def distances(self) -> np.ndarray:
        """(N,) positions in mm along the normal, ascending."""
        return np.array([image.position for image in self.slices]) @ _normal(self.slices[0])

    def describe(self) -> str:
        """Name, description, number of images, size and spacing."""
        first = self.slices[0]
        gap = f", {np.median(np.diff(self.distances)):.4g} mm apart" if len(self.slices) > 1 else ""
        return f"{self.name} ({self.description}, {len(self.slices)} images of {first.columns} x {first.rows}{gap})"


@dataclass(frozen=True)
class Placement:
    """Where a stack lies.

    Attributes:
        lps: (4, 4) homogeneous IJK -> LPS in mm of the regular grid, sheared if the gantry was tilted.
        at: (n,) the grid's slices as fractional indices into the stack's images; None if it has exactly these slices.
    """

    lps: np.ndarray
    at: np.ndarray | None = None


def stacks(slices: Sequence[Slice]) -> list[Stack]:
    """The stacks that these images form; scouts, doubles, and single images beside longer series are left out."""
    unique = {(image.series, image.uid or str(image.path), image.frame): image for image in reversed(slices)}
    series = _grouped([image for image in unique.values() if not image.is_localizer], lambda image: image.series)
    longest = max((len(images) for images in series.values()), default=0)
    found = [_phases(name, images) for name, images in sorted(series.items()) if len(images) > 1 or longest == 1]
    return [stack for group in found for stack in group]


def chosen(found: Sequence[Stack], wanted: str | None, where: str) -> Stack:
    """The stack named `wanted`, or the only one.

    Raises:
        SynthesisError: "bad-input", with a list to choose from.
    """
    matching = [stack for stack in found if wanted is None or stack.name == wanted]
    if len(matching) == 1:
        return matching[0]
    listed = "; ".join(stack.describe() for stack in found[:LISTED]) + ("; ..." if len(found) > LISTED else "")
    if not found:
        raise SynthesisError(
            "bad-input", f"{where} holds no CT images apart from scouts; give the folder of a CT series."
        )
    if wanted is None:
        raise SynthesisError("bad-input", f"{where} holds {len(found)} series; choose one by its name: {listed}.")
    raise SynthesisError("bad-input", f"{where} holds no series named {wanted}; choose one of: {listed}.")


def placement(stack: Stack, *, resample_irregular: bool = False) -> Placement:
    """Where the stack lies, from the position of every image.

    Args:
        stack: images to place.
        resample_irregular: answer irregular positions by a regular grid from the first to the last image, with the
            spacing nearest to the median gap that divides this length evenly.

    Raises:
        SynthesisError: "bad-input" for fewer than two images, or several at one place; "bad-geometry" for images that
            differ in size, spacing or orientation, or that are not evenly spaced.
    """
    _check_alike(stack)
    distances = stack.distances
    gaps = np.diff(distances)
    if gaps.min() < SAME_PLACE_MM:
        doubled = int((gaps < SAME_PLACE_MM).sum())
        message = (
            f"The series {stack.name} has several images at {doubled} of its positions, and no tag tells them apart"
        )
        raise SynthesisError("bad-input", f"{message}; export one phase or reconstruction.")
    step = _step(stack, distances)
    count, at = len(distances), None
    irregular = _irregular_gaps(distances)
    if irregular and not resample_irregular:
        raise SynthesisError(
            "bad-geometry", f"Slices must be evenly spaced, but in the series {stack.name} {irregular}."
        )
    if irregular:
        count = max(2, round((distances[-1] - distances[0]) / float(np.median(gaps))) + 1)
        at = np.interp(np.linspace(distances[0], distances[-1], count), distances, np.arange(len(distances)))
    return Placement(_matrix(stack.slices[0], step * (distances[-1] - distances[0]) / (count - 1)), at)


def _grouped(images: Sequence[Slice], key: Callable[[Slice], str]) -> dict[str, list[Slice]]:
    groups: dict[str, list[Slice]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def _normal(image: Slice) -> np.ndarray:
    """Unit normal (LPS) of the image plane: i x j, so that every stack is right-handed."""
    normal = np.cross(image.orientation[:3], image.orientation[3:])
    return normal / np.linalg.norm(normal)


def _stack(name: str, images: Sequence[Slice], description: str) -> Stack:
    normal = _normal(images[0])
    return Stack(name, description, tuple(sorted(images, key=lambda image: float(normal @ image.position))))


def _phases(name: str, images: list[Slice]) -> list[Stack]:
    """One stack; or, if images share places and a tag parts them into equal stacks without doubles, these."""
    description = images[0].description or "no description"
    whole = _stack(name, images, description)
    if not _has_doubles(whole):
        return [whole]
    for number, tag in enumerate(PHASES):
        groups = _grouped(images, lambda image: image.phase[number])  # noqa: B023 (used within the loop's turn)
        parts = [
            _stack(f"{name}#{index}", groups[value], f"{description}, {tag} {value or 'not given'}")
            for index, value in enumerate(sorted(groups, key=_numbers_first), start=1)
        ]
        even = len(parts) > 1 and len({len(part.slices) for part in parts}) == 1
        if even and not any(_has_doubles(part) for part in parts):
            return parts
    return [whole]


def _has_doubles(stack: Stack) -> bool:
    return bool((np.diff(stack.distances) < SAME_PLACE_MM).any())


def _numbers_first(value: str) -> tuple[bool, float, str]:
    """Sort key: numbers by size, then words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _check_alike(stack: Stack) -> None:
    if len(stack.slices) < 2:
        raise SynthesisError("bad-input", f"At least two slices are needed, but the series {stack.name} has one image.")
    first = stack.slices[0]
    for image in stack.slices:
        same = {
            "size": (image.columns, image.rows) == (first.columns, first.rows),
            "pixel spacing": np.allclose(image.pixel_spacing, first.pixel_spacing, rtol=1e-3),
            "orientation": np.allclose(image.orientation, first.orientation, atol=1e-3),
        }
        for what, holds in same.items():
            if not holds:
                message = f"All images of a series must have the same {what}, but {image.path.name} differs from"
                raise SynthesisError("bad-geometry", f"{message} {first.path.name}; give a folder without it.")


def _step(stack: Stack, distances: np.ndarray) -> np.ndarray:
    """(3,) LPS step along the stack per mm along the normal: the normal, and with a tilted gantry some way sideways."""
    normal = _normal(stack.slices[0])
    positions = np.array([image.position for image in stack.slices])
    along = distances - distances[0]
    sideways = positions - positions[0] - along[:, None] * normal
    slope = along @ sideways / (along @ along)
    is_straight = np.linalg.norm(sideways, axis=1).max() <= ROUNDING_MM
    if is_straight or np.linalg.norm(slope) < np.tan(np.radians(STRAIGHT_DEGREES)):
        slope = np.zeros(3)
    shift = float(np.linalg.norm(sideways - along[:, None] * slope, axis=1).max())
    if shift > max(ROUNDING_MM, IRREGULAR * float(np.median(np.diff(distances)))):
        message = f"Slices must lie in one line, but images of the series {stack.name} are shifted sideways by up to"
        raise SynthesisError(
            "bad-geometry", f"{message} {shift:.3g} mm; export them from the scanner with one field of view."
        )
    return normal + slope


def _irregular_gaps(distances: np.ndarray) -> str:
    """The uneven gaps in words, with the way out; empty if there are none."""
    gaps = np.diff(distances)
    usual = float(np.median(gaps))
    tolerance = max(ROUNDING_MM, IRREGULAR * usual)
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    way_out = "export it without gaps, or ask for resampling to even spacing"
    if odd.size:
        listed = ", ".join(f"{gaps[n]:.4g} mm between slices {n + 1} and {n + 2}" for n in odd[:LISTED])
        more = f" and {odd.size - LISTED} more" if odd.size > LISTED else ""
        return f"most are {usual:.4g} mm apart, with {listed}{more}; {way_out}"
    even = np.linspace(distances[0], distances[-1], len(distances))
    if np.abs(distances - even).max() > tolerance:  # each gap is nearly right, but the errors add up
        return f"gaps drift from {gaps.min():.4g} to {gaps.max():.4g} mm; {way_out}"
    return ""


def _matrix(first: Slice, step: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(first.orientation[:3]) * first.pixel_spacing[0]
    matrix[:3, 1] = np.array(first.orientation[3:]) * first.pixel_spacing[1]
    matrix[:3, 2] = step
    matrix[:3, 3] = first.position
    return matrix
