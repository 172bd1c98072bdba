"""Training crops: four neighboring slices as input, and the slice between the middle two as ground truth.

Two kinds. **Dense**: slices of a scan are left out (gap) or averaged (slab), and the scan itself is the ground truth.
**In-plane anchor**: an axial slice is sharp within its plane, so one of its axes is used as slice axis: it is averaged over a
slice thickness and sampled at a slice spacing, at any position, at the right physical scale. This needs no thin scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from ...networks.gap_network import CONDITIONS, condition
from ...networks.recipes import NEIGHBORS
from ...volume.intensity import to_unit
from ...volume.thinning import profile_weights
from .scan import TrainingScan

MAX_FACTOR = 8
MAX_SPACING = 12.0  # mm; slices farther apart have little in common
THIN_SPACING = 3.0  # mm; slices up to this spacing are useful ground truth for the slices between others
MIN_SPACING = 1.2
DENSE_SPACING = MAX_SPACING / 2  # mm; beyond it, every other slice would be too far from the next

_TOUCHING_SHARE = 0.5  # of averaged slices; the others are narrower or overlap
_NARROWEST, _WIDEST = 0.6, 2.0  # range of their widths, in slice spacings
_BELL_SHARE = 0.5  # of averaged slices; the others are boxes, or between the two
_BELL_BOXES = np.array([0.791, 1.306, 1.913])  # widths of centered boxes whose mean approximates a Gaussian of width 1


@dataclass(frozen=True)
class CropSettings:
    """Sampling of crops.

    Attributes:
        anchor_share: fraction of in-plane crops; the rest is dense.
        slab_share: fraction of crops whose slices are averages of thinner ones.
        soft: averages may also have soft profiles, overlap or leave gaps, as in scanners; otherwise they are adjacent boxes.
        acquired_share: fraction of averaged crops whose target is a thinner version of an acquired slice.
        known_share: fraction of crops whose slice thickness is given to the network.
        half_share: fraction of crops from a copy of the scan with pixels twice as large.
        dense_spacing: mm; scans with larger slice spacing give no dense crops, since half the slices would be too far apart.
        own_share: fraction of in-plane crops with the scan's own slice spacing and thickness; the rest have random ones.
    """

    anchor_share: float = 0.4
    slab_share: float = 0.3
    soft: bool = True
    acquired_share: float = 0.1
    known_share: float = 0.75
    half_share: float = 0.2
    dense_spacing: float = DENSE_SPACING
    own_share: float = 0.0

    def is_dense(self, scan: TrainingScan) -> bool:
        """True if the scan's own slices can be left out and predicted."""
        return scan.slice_spacing <= self.dense_spacing


class Crop(NamedTuple):
    """One training example, or a batch along the first axis.

    Attributes:
        neighbours: (4, h, w) float32, unit range.
        target: (h, w) float32, unit range.
        position: position of the target between the two middle slices, in (0, 1).
        conditions: properties of the scan given to the network, see `gap_network.condition`.
    """

    neighbours: np.ndarray
    target: np.ndarray
    position: np.ndarray | np.float32
    conditions: np.ndarray


def draw_batch(
    rng: np.random.Generator,
    scans: list[TrainingScan],
    settings: CropSettings,
    count: int,
    size: tuple[int, int],
    anchor: bool,
) -> Crop:
    """Draw `count` crops of `size` (h, w), including in-plane ones if `anchor` (for the through-plane network only)."""
    crops = []
    usable = scans if anchor else [scan for scan in scans if settings.is_dense(scan)]
    for _ in range(count if usable else 0):
        scan = _draw_scan(rng, usable, settings)
        in_plane = anchor and (rng.random() < settings.anchor_share or not settings.is_dense(scan))
        crops.append((_draw_in_plane if in_plane else _draw_dense)(rng, scan, settings, size))
    return _stack(crops, size)


def _stack(crops: list[Crop], size: tuple[int, int]) -> Crop:
    """Stack crops along a first axis, which may be empty."""
    if not crops:
        return Crop(*(np.zeros((0, *shape), np.float32) for shape in ((NEIGHBORS, *size), size, (), (CONDITIONS,))))
    return Crop(*(np.stack(parts).astype(np.float32) for parts in zip(*crops, strict=True)))


def draw_native_batch(
    rng: np.random.Generator, scans: list[TrainingScan], settings: CropSettings, count: int, size: tuple[int, int]
) -> Crop:
    """Draw native gaps of the scans, which have no ground truth: `target` is NaN, and only a teacher can provide it."""
    crops = []
    for _ in range(count):
        scan = _draw_scan(rng, scans, settings)
        slices = _window(rng, scan.voxels, size)
        gap = int(rng.integers(0, len(slices) - 1))
        neighbours = extended(to_unit(slices[max(gap - 1, 0) : gap + 3]), gap == 0, gap == len(slices) - 2)
        known = bool(rng.random() < settings.known_share)
        conditions = _conditions(scan, scan.slice_spacing, scan.thickness, scan.thickness, known)
        target = np.full(size, np.nan, np.float32)
        crops.append(Crop(neighbours, target, np.float32(rng.uniform(0.1, 0.9)), np.array(conditions)))
    return _stack(crops, size)


def extended(slices: np.ndarray, below: bool, above: bool) -> np.ndarray:
    """Add a missing slice below the first or above the last, extrapolated linearly."""
    parts = [slices]
    if below:
        parts.insert(0, 2 * slices[:1] - slices[1:2])
    if above:
        parts.append(2 * slices[-1:] - slices[-2:-1])
    return np.concatenate(parts)


def _draw_scan(rng: np.random.Generator, scans: list[TrainingScan], settings: CropSettings) -> TrainingScan:
    scan = scans[int(rng.integers(len(scans)))]
    return scan.half if rng.random() < settings.half_share and scan.can_be_halved else scan


def _conditions(
    scan: TrainingScan, spacing: float, thickness: float, output_thickness: float, known: bool
) -> list[float]:
    return condition(spacing, scan.pixel_spacing, thickness if known else None, output_thickness if known else None)


def _window(rng: np.random.Generator, slices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a random window of all slices, (D, h, w), with rows and columns exchanged half of the time."""
    if rng.random() < 0.5:
        slices = slices.transpose(0, 2, 1)
    row, column = (int(rng.integers(0, have - want + 1)) for have, want in zip(slices.shape[1:], size, strict=True))
    return slices[:, row : row + size[0], column : column + size[1]]


def largest_factor(scan: TrainingScan) -> int:
    """Return the largest factor by which a scan can be thinned out, limited by the number of slices and their spacing."""
    return min(MAX_FACTOR, len(scan.voxels) - 1, max(2, int(MAX_SPACING / scan.slice_spacing)))


def _draw_factor(rng: np.random.Generator, scan: TrainingScan) -> int:
    return 2 + int(np.searchsorted(_odds_up_to(largest_factor(scan)), rng.random(), side="right"))


@cache
def _odds_up_to(largest: int) -> np.ndarray:
    """Return cumulative probabilities of the factors 2 ... largest, without the last; small ones are the most common in use."""
    odds = np.arange(2, largest + 1) ** -0.7
    cumulated: np.ndarray = np.cumsum(odds / odds.sum())[:-1]
    return cumulated


def _draw_dense(rng: np.random.Generator, scan: TrainingScan, settings: CropSettings, size: tuple[int, int]) -> Crop:
    """Draw a crop with slices of the scan itself as ground truth.

    factor 3:   a . . b x . c . . d      a b c d the neighbours, x the target: position 1/3 between b and c
    """
    factor, slab = _draw_factor(rng, scan), bool(rng.random() < settings.slab_share)
    width, bell = _draw_average(rng, settings) if slab else (0.0, 0.0)
    slices = _window(rng, scan.voxels, size)
    below = int(rng.integers(0, len(slices) - factor))
    at = [z for z in range(below - factor, below + 2 * factor + 1, factor) if 0 <= z < len(slices)]
    weights = profile_weights(max(1.0, width * factor), bell) if slab else None
    remaining = to_unit(slices[at] if weights is None else np.stack([_mean_slice(slices, z, weights) for z in at]))
    neighbours = extended(remaining, at[0] == below, at[-1] == below + factor)
    step = 0 if slab and rng.random() < settings.acquired_share else int(rng.integers(1, factor))
    spacing = factor * scan.slice_spacing
    thickness = max(width * spacing, scan.thickness)
    conditions = _conditions(scan, spacing, thickness, scan.thickness, bool(rng.random() < settings.known_share))
    return _flip(rng, neighbours, to_unit(slices[below + step]), step / factor, conditions)


def _draw_average(rng: np.random.Generator, settings: CropSettings) -> tuple[float, float]:
    """Draw the profile of averaged slices: width in slice spacings, and shape (0 a box, 1 a Gaussian)."""
    if not settings.soft:
        return 1.0, 0.0
    touching, width = rng.random() < _TOUCHING_SHARE, np.exp(rng.uniform(np.log(_NARROWEST), np.log(_WIDEST)))
    kind = rng.random()  # bells, boxes, and a few in between
    bell = 1.0 if kind < _BELL_SHARE else 0.0 if kind < 0.5 + _BELL_SHARE / 2 + 0.1 else rng.random()
    return 1.0 if touching else float(width), float(bell)


def _mean_slice(slices: np.ndarray, at: int, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of the slices around one, (h, w) float32 HU."""
    around = np.arange(len(weights)) - len(weights) // 2 + at
    mean = np.zeros(slices.shape[1:], np.float32)
    for weight, index in zip(
        weights, np.clip(around, 0, len(slices) - 1), strict=True
    ):  # no matrix product: avoids a thread pool
        mean += np.float32(weight) * slices[index]
    return mean


def _flip(
    rng: np.random.Generator, neighbours: np.ndarray, target: np.ndarray, position: float, conditions: list[float]
) -> Crop:
    if rng.random() < 0.5:
        neighbours, position = neighbours[::-1], 1 - position
    if rng.random() < 0.5:
        neighbours, target = neighbours[:, ::-1], target[::-1]
    if rng.random() < 0.5:
        neighbours, target = neighbours[:, :, ::-1], target[:, ::-1]
    return Crop(neighbours, target, np.float32(position), np.array(conditions, np.float32))


def _draw_in_plane(rng: np.random.Generator, scan: TrainingScan, settings: CropSettings, size: tuple[int, int]) -> Crop:
    """Draw a crop that uses the columns of one axial slice as slice axis. Each row of the crop starts at its own offset."""
    plane = scan.voxels[int(rng.integers(len(scan.voxels)))]
    plane = plane.T if rng.random() < 0.5 else plane
    top = int(rng.integers(0, plane.shape[0] - size[1] + 1))
    image, pixel = plane[top : top + size[1]], scan.pixel_spacing
    length = image.shape[1] * pixel
    spacing, thickness, output, bell = _draw_profile(rng, scan, settings, length)
    position = float(rng.choice([1 / 5, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4]) if rng.random() < 0.5 else rng.random())
    if output < thickness and rng.random() < settings.acquired_share:
        position = 0.0
    margin = min(thickness / 2, (length - 3 * spacing) / 2)
    first = rng.uniform(margin, length - 3 * spacing - margin, size=size[0])
    centres = np.stack([first + k * spacing for k in (0, 1, 2, 3, 1 + position)]) / pixel
    boxes = thickness * ((1 - bell) + bell * _BELL_BOXES) if bell else np.array([thickness])
    widths = np.array([[box] * 4 + [output] for box in boxes])[:, :, None] / pixel
    sampled = to_unit(_box_means(image, centres, widths))
    conditions = _conditions(scan, spacing, thickness, output, bool(rng.random() < settings.known_share))
    return _flip(rng, sampled[:4], sampled[4], position, conditions)


def _draw_profile(
    rng: np.random.Generator, scan: TrainingScan, settings: CropSettings, length: float
) -> tuple[float, float, float, float]:
    """Draw the profile of an in-plane crop `length` mm long: slice spacing, slice thickness and thickness of the new slice
    in mm, and shape (0 a box, 1 a Gaussian)."""
    pixel, longest = scan.pixel_spacing, length / 4.5
    fits = max(scan.slice_spacing, scan.thickness) <= longest
    if settings.own_share and fits and rng.random() < settings.own_share:
        # A profile narrower than the scan's own teaches the network to oversharpen; one too wide costs little.
        thickness = max(scan.thickness * rng.uniform(0.95, 1.25), pixel)
        return max(scan.slice_spacing, 1.5 * pixel), thickness, thickness, 0.0
    spacing = float(np.exp(rng.uniform(np.log(max(MIN_SPACING, 1.5 * pixel)), np.log(min(10.0, longest)))))
    thickness = max(spacing * rng.uniform(0.15, 1.1), pixel)
    if rng.random() < settings.slab_share:
        width, bell = _draw_average(rng, settings)
        thickness = max(spacing * width, pixel)
        return spacing, thickness, min(thickness, max(spacing / int(rng.integers(2, MAX_FACTOR + 1)), pixel)), bell
    return spacing, thickness, thickness, 0.0


def _box_means(image: np.ndarray, centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Return means of the rows of `image` over boxes, by differences of cumulative sums (no thread pool to compete with).

    Args:
        image: (w, n) int16 HU, pixels are treated as constant over their area; 32-bit sums are exact.
        centres: centers of the boxes, in pixels along n, (5, h); the center of pixel 0 is at 0.5.
        widths: widths of one box or of several whose means are averaged, in pixels, (boxes, 5, 1).

    Returns:
        (5, h, w) HU.
    """
    sums = np.zeros((image.shape[0], image.shape[1] + 1), np.int32)
    np.cumsum(np.ascontiguousarray(image), axis=1, dtype=np.int32, out=sums[:, 1:])

    def cumulative(edge: np.ndarray) -> np.ndarray:
        whole = np.clip(edge.astype(int), 0, image.shape[1] - 1)
        below, above = sums[:, whole], sums[:, whole + 1]
        return below + (edge - whole) * (above - below)

    means = np.zeros((image.shape[0], *centres.shape))
    for width in widths:
        low, high = np.clip(centres - width / 2, 0, image.shape[1]), np.clip(centres + width / 2, 0, image.shape[1])
        means += (cumulative(high) - cumulative(low)) / (high - low) / len(widths)
    return np.moveaxis(means, 0, 2)
