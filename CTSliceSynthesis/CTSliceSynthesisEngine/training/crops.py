"""Small pieces of scans, each with a true answer: four neighbouring slices, and the slice between the middle two.

Two kinds. **Dense**: slices of a scan are left out (gap) or averaged (slab), and the scan itself is the answer. **In-plane
anchor**: an axial slice is sharp within its plane, so one of its axes plays the slice axis: it is averaged over a slice
thickness and sampled at a slice spacing, at any position, at the right physical scale. The second needs no thin scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..networks.gap_network import condition
from ..volume.intensity import to_unit
from ..volume.thinning import slab_weights
from .cohort import TrainingScan

MAX_FACTOR = 8
MAX_SPACING = 12.0  # mm; beyond it slices hardly know of each other
MIN_SPACING = 1.2


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn.

    Attributes:
        anchor_share: share of crops made in plane; the rest is dense.
        slab_share: share of dense crops whose slices are averaged instead of dropped.
        known_share: share of crops whose slice thickness the network is told.
        half_share: share of crops from a copy of the scan with pixels twice as large.
    """

    anchor_share: float = 0.4
    slab_share: float = 0.3
    known_share: float = 0.75
    half_share: float = 0.2


class Crop(NamedTuple):
    """One example, or a batch of them along a first axis.

    Attributes:
        neighbours: (4, h, w) float32, unit range.
        target: (h, w) float32, unit range.
        position: of the target between the two middle slices, in (0, 1).
        conditions: what the network is told of the scan, see `gap_network.condition`.
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
    """`count` crops of `size` (h, w); in-plane ones among them if `anchor` (they fit the through-plane network only)."""
    crops = []
    for _ in range(count):
        scan = _draw_scan(rng, scans, settings)
        in_plane = anchor and rng.random() < settings.anchor_share
        crops.append((_draw_in_plane if in_plane else _draw_dense)(rng, scan, settings, size))
    return Crop(*(np.stack(parts).astype(np.float32) for parts in zip(*crops, strict=True)))


def draw_native_batch(
    rng: np.random.Generator, scans: list[TrainingScan], settings: CropSettings, count: int, size: tuple[int, int]
) -> Crop:
    """Gaps of the scans as they are, which have no true answer: `target` is NaN and only a teacher can fill it."""
    crops = []
    for _ in range(count):
        scan = _draw_scan(rng, scans, settings)
        slices = _window(rng, scan.voxels, size)
        gap = int(rng.integers(0, len(slices) - 1))
        neighbours = extended(to_unit(slices[max(gap - 1, 0) : gap + 3]), gap == 0, gap == len(slices) - 2)
        known = bool(rng.random() < settings.known_share)
        told = _told(scan, scan.slice_spacing, scan.thickness, scan.thickness, known)
        target = np.full(size, np.nan, np.float32)
        crops.append(Crop(neighbours, target, np.float32(rng.uniform(0.1, 0.9)), np.array(told)))
    return Crop(*(np.stack(parts).astype(np.float32) for parts in zip(*crops, strict=True)))


def extended(slices: np.ndarray, below: bool, above: bool) -> np.ndarray:
    """Add the slice that is missing below the first or above the last, extrapolated linearly."""
    parts = [slices]
    if below:
        parts.insert(0, 2 * slices[:1] - slices[1:2])
    if above:
        parts.append(2 * slices[-1:] - slices[-2:-1])
    return np.concatenate(parts)


def _draw_scan(rng: np.random.Generator, scans: list[TrainingScan], settings: CropSettings) -> TrainingScan:
    scan = scans[int(rng.integers(len(scans)))]
    return scan.half if rng.random() < settings.half_share else scan


def _told(scan: TrainingScan, spacing: float, thickness: float, output_thickness: float, known: bool) -> list[float]:
    return condition(spacing, scan.pixel_spacing, thickness if known else None, output_thickness if known else None)


def _window(rng: np.random.Generator, slices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A random rectangle of all slices, rows and columns exchanged half of the time: (D, h, w)."""
    if rng.random() < 0.5:
        slices = slices.transpose(0, 2, 1)
    row, column = (int(rng.integers(0, have - want + 1)) for have, want in zip(slices.shape[1:], size, strict=True))
    return slices[:, row : row + size[0], column : column + size[1]]


def _draw_factor(rng: np.random.Generator, scan: TrainingScan) -> int:
    largest = min(MAX_FACTOR, len(scan.voxels) - 1, max(2, int(MAX_SPACING / scan.slice_spacing)))
    factors = np.arange(2, largest + 1)
    odds = factors**-0.7  # small factors are asked for most
    return int(rng.choice(factors, p=odds / odds.sum()))


def _draw_dense(rng: np.random.Generator, scan: TrainingScan, settings: CropSettings, size: tuple[int, int]) -> Crop:
    """Leave out slices of the scan itself.

    factor 3:   a . . b x . c . . d      a b c d the neighbours, x the target: position 1/3 between b and c
    """
    factor, slab = _draw_factor(rng, scan), bool(rng.random() < settings.slab_share)
    slices = _window(rng, scan.voxels, size)
    below = int(rng.integers(0, len(slices) - factor))
    at = [z for z in range(below - factor, below + 2 * factor + 1, factor) if 0 <= z < len(slices)]
    weights = slab_weights(factor) if slab else np.ones(1)
    kept = np.stack([_mean_slice(slices, z, weights) for z in at])
    neighbours = extended(kept, at[0] == below, at[-1] == below + factor)
    step = int(rng.integers(1, factor))
    spacing = factor * scan.slice_spacing
    thickness = spacing if slab else scan.thickness
    told = _told(scan, spacing, thickness, scan.thickness, bool(rng.random() < settings.known_share))
    return _flipped(rng, neighbours, to_unit(slices[below + step]), step / factor, told)


def _mean_slice(slices: np.ndarray, at: int, weights: np.ndarray) -> np.ndarray:
    around = np.arange(len(weights)) - len(weights) // 2 + at
    return np.tensordot(weights.astype(np.float32), to_unit(slices[np.clip(around, 0, len(slices) - 1)]), 1)


def _flipped(
    rng: np.random.Generator, neighbours: np.ndarray, target: np.ndarray, position: float, told: list[float]
) -> Crop:
    if rng.random() < 0.5:
        neighbours, position = neighbours[::-1], 1 - position
    if rng.random() < 0.5:
        neighbours, target = neighbours[:, ::-1], target[::-1]
    if rng.random() < 0.5:
        neighbours, target = neighbours[:, :, ::-1], target[:, ::-1]
    return Crop(neighbours, target, np.float32(position), np.array(told, np.float32))


def _draw_in_plane(rng: np.random.Generator, scan: TrainingScan, settings: CropSettings, size: tuple[int, int]) -> Crop:
    """Let the columns of one axial slice be the slice axis. Each row of the crop starts at a place of its own."""
    plane = scan.voxels[int(rng.integers(len(scan.voxels)))]
    plane = plane.T if rng.random() < 0.5 else plane
    top = int(rng.integers(0, plane.shape[0] - size[1] + 1))
    image, pixel = to_unit(plane[top : top + size[1]]), scan.pixel_spacing
    length = image.shape[1] * pixel
    spacing = float(np.exp(rng.uniform(np.log(max(MIN_SPACING, 1.5 * pixel)), np.log(min(10.0, length / 4.5)))))
    thickness = max(spacing * rng.uniform(0.15, 1.1), pixel)
    output = thickness
    if rng.random() < settings.slab_share:
        thickness, output = spacing, max(spacing / int(rng.integers(2, MAX_FACTOR + 1)), pixel)
    position = float(rng.choice([1 / 5, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4]) if rng.random() < 0.5 else rng.random())
    first = rng.uniform(thickness / 2, length - 3 * spacing - thickness / 2, size=size[0])
    centres = np.stack([first + k * spacing for k in (0, 1, 2, 3, 1 + position)]) / pixel
    widths = np.array([thickness] * 4 + [output])[:, None] / pixel
    sampled = _box_means(image, centres, widths)
    told = _told(scan, spacing, thickness, output, bool(rng.random() < settings.known_share))
    return _flipped(rng, sampled[:4], sampled[4], position, told)


def _box_means(image: np.ndarray, centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Means of the rows of `image` over boxes, by differences of a running sum: no thread pool fights the optimizer's.

    Args:
        image: (w, n), pixels that each fill their place evenly.
        centres, widths: of the boxes, in pixels along n, broadcast to (5, h); a box of width 1 at 0.5 is pixel 0.

    Returns:
        (5, h, w) float32.
    """
    sums = np.zeros((image.shape[1] + 1, image.shape[0]))
    np.cumsum(image.T, axis=0, dtype=np.float64, out=sums[1:])

    def up_to(edge: np.ndarray) -> np.ndarray:
        whole = np.clip(edge.astype(int), 0, image.shape[1] - 1)
        return sums[whole] + (edge - whole)[..., None] * (sums[whole + 1] - sums[whole])

    low, high = np.clip(centres - widths / 2, 0, image.shape[1]), np.clip(centres + widths / 2, 0, image.shape[1])
    means: np.ndarray = (up_to(high) - up_to(low)) / (high - low)[..., None]
    return means.astype(np.float32)
