"""Geometry of a stack of DICOM images: a regular grid, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import SynthesisError
from ..dicom_slice import SAME_PLACE_MM, Slice, normal
from ..grid import STRAIGHT_DEGREES
from .dicom_stacks import LISTED, Stack

ROUNDING_MM = 0.02  # positions are often stored with two decimals
IRREGULAR = 0.02  # allowed deviation of a gap from the median, as a share of it
ROUNDED = 0.1  # allowed error of positions stored with one decimal, as a share of a gap
MOST_RESAMPLED = 20  # largest gap to fill, in median gaps


@dataclass(frozen=True)
class Placement:
    """Geometry of a stack.

    Attributes:
        lps: (4, 4) homogeneous IJK -> LPS in mm of the regular grid, sheared for gantry tilt.
        at: (n,) positions of the grid's slices as fractional image indices; None if they are exactly the images.
    """

    lps: np.ndarray
    at: np.ndarray | None = None


def placement(stack: Stack, *, resample_irregular: bool = False) -> Placement:
    """Compute the grid of a stack from the position of every image.

    Args:
        stack: images to place.
        resample_irregular: for irregular positions, use a regular grid from the first to the last image, with the
            spacing closest to the median gap that divides this length evenly.

    Raises:
        SynthesisError: "bad-input" for fewer than two images, several at one position, or an unusable one;
            "bad-geometry" for images that differ in size, spacing or orientation, or that are not evenly spaced.
    """
    _check_whole(stack)
    _check_alike(stack)
    distances = stack.distances
    gaps = np.diff(distances)
    if gaps.min() < SAME_PLACE_MM:
        duplicates = np.flatnonzero(gaps < SAME_PLACE_MM)
        names = " and ".join(stack.slices[duplicates[0] + n].path.name for n in (0, 1))
        message = (
            f"The series {stack.name} has several images at {duplicates.size} of its positions, e.g. {names}, and no tag"
            " distinguishes them"
        )
        raise SynthesisError("bad-input", f"{message}; export one phase or reconstruction.")
    step = _step(stack, distances)
    count, at = len(distances), None
    irregular = _irregular_gaps(distances, _rounding(stack, gaps))
    if irregular and not resample_irregular:
        raise SynthesisError(
            "bad-geometry", f"Slices must be evenly spaced, but in the series {stack.name} {irregular}."
        )
    if irregular:
        typical = float(np.median(gaps))
        if gaps.max() > MOST_RESAMPLED * typical:
            message = f"Gaps between slices are filled up to {MOST_RESAMPLED} times the typical gap, {typical:.4g} mm, but one"
            raise SynthesisError(
                "bad-input", f"{message} has {gaps.max():.4g} mm; remove the slice that is not part of it."
            )
        count = max(2, round((distances[-1] - distances[0]) / typical) + 1)
        at = np.interp(np.linspace(distances[0], distances[-1], count), distances, np.arange(len(distances)))
    return Placement(_matrix(stack.slices[0], step * (distances[-1] - distances[0]) / (count - 1)), at)


def _check_whole(stack: Stack) -> None:
    for image in stack.faulty:
        message = f"Every image of a series must be readable, but in the series {stack.name} the file {image.path}"
        raise SynthesisError(
            "bad-input", f"{message} {image.fault}; export it again, or remove it if it is not part of it."
        )


def _check_alike(stack: Stack) -> None:
    if len(stack.slices) < 2:
        raise SynthesisError("bad-input", f"At least two slices are needed, but the series {stack.name} has one image.")
    first = stack.slices[0]
    for image in stack.slices:
        same = {
            "size": (image.columns, image.rows) == (first.columns, first.rows),
            "pixel spacing": np.allclose(image.pixel_spacing, first.pixel_spacing, rtol=1e-3),
            "orientation": np.allclose(image.orientation, first.orientation, atol=1e-3),
            "patient": image.patient == first.patient,
            "frame of reference": image.frame_of_reference == first.frame_of_reference,
            "kind of scaling to HU": (image.rescale is None) == (first.rescale is None),
        }
        for what, holds in same.items():
            if not holds:
                message = f"All images of a series must have the same {what}, but {image.path.name} differs from"
                raise SynthesisError("bad-geometry", f"{message} {first.path.name}; give a folder without it.")


def _rounding(stack: Stack, gaps: np.ndarray) -> float:
    """Return the position error in mm if all positions along the stack are stored with one decimal, otherwise 0."""
    axis = int(np.abs(normal(stack.slices[0])).argmax())
    few = max(image.decimals[axis] for image in stack.slices) == 1
    return 0.05 if few and ROUNDED * float(np.median(gaps)) >= 0.05 else 0.0


def _step(stack: Stack, distances: np.ndarray) -> np.ndarray:
    """Return the (3,) LPS step along the stack per mm along the normal: the normal plus a shift due to gantry tilt."""
    across = normal(stack.slices[0])
    positions = np.array([image.position for image in stack.slices])
    along = distances - distances[0]
    sideways = positions - positions[0] - along[:, None] * across
    slope = along @ sideways / (along @ along)
    is_straight = np.linalg.norm(sideways, axis=1).max() <= max(ROUNDING_MM, 2 * _rounding(stack, np.diff(distances)))
    if is_straight or np.linalg.norm(slope) < np.tan(np.radians(STRAIGHT_DEGREES)):
        slope = np.zeros(3)
    shift = float(np.linalg.norm(sideways - along[:, None] * slope, axis=1).max())
    gaps = np.diff(distances)
    if shift > max(ROUNDING_MM, IRREGULAR * float(np.median(gaps)), 2 * _rounding(stack, gaps)):
        message = (
            f"Slices must be on a straight line, but images of the series {stack.name} are shifted sideways by up to"
        )
        raise SynthesisError(
            "bad-geometry", f"{message} {shift:.3g} mm; export them from the scanner with one field of view."
        )
    return across + slope


def _irregular_gaps(distances: np.ndarray, rounding: float) -> str:
    """Describe the uneven gaps and the remedy; empty if there are none or positions are only rounded."""
    even = np.linspace(distances[0], distances[-1], len(distances))
    if rounding and np.abs(distances - even).max() <= 2 * rounding:  # the ends are rounded as well
        return ""
    gaps = np.diff(distances)
    typical = float(np.median(gaps))
    tolerance = max(ROUNDING_MM, IRREGULAR * typical)
    uneven = np.flatnonzero(np.abs(gaps - typical) > tolerance)
    remedy = "export it without gaps, or ask for resampling to even spacing"
    if uneven.size:
        listed = ", ".join(f"{gaps[n]:.4g} mm between slices {n + 1} and {n + 2}" for n in uneven[:LISTED])
        more = f" and {uneven.size - LISTED} more" if uneven.size > LISTED else ""
        return f"most are {typical:.4g} mm apart, with {listed}{more}; {remedy}"
    if np.abs(distances - even).max() > tolerance:  # each gap is nearly right, but the errors add up
        return f"gaps drift from {gaps.min():.4g} to {gaps.max():.4g} mm; {remedy}"
    return ""


def _matrix(first: Slice, step: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    for axis, direction in enumerate(np.array(first.orientation).reshape(2, 3)):
        matrix[:3, axis] = direction / np.linalg.norm(direction) * first.pixel_spacing[axis]
    matrix[:3, 2] = step
    matrix[:3, 3] = first.position
    return matrix
