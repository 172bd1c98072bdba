"""Tiling of a plane, with results identical to computing the whole plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

Rectangle = tuple[slice, slice]


class Tile(NamedTuple):
    """One rectangle.

    . . . . . . .        source  the region read: the tile and its halo
    . +-------+ .        target  the region written, in plane coordinates
    . | inner | .        inner   the region written, relative to the source's corner
    . +-------+ .
    . . . . . . .
    """

    source: Rectangle
    target: Rectangle
    inner: Rectangle


def tiles(
    size: tuple[int, ...], edges: tuple[int, int], reach: tuple[int, int], patch: tuple[int, int]
) -> Iterator[Tile]:
    """Cover a plane of `size` (rows, columns) with tiles of at most `edges` pixels.

    Args:
        size: of the plane.
        edges: rows and columns of a tile without its halo.
        reach: receptive field of the network in each direction: the halo.
        patch: tiles start at multiples of it, so that pixels fold into channels as in the whole plane.
    """
    rows, columns = (list(_spans(*axis)) for axis in zip(size, edges, reach, patch, strict=True))
    for row in rows:
        for column in columns:
            yield Tile(*((r, c) for r, c in zip(row, column, strict=True)))


def _spans(count: int, edge: int, halo: int, step: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield source, target and inner span of each tile along one axis."""
    edge, halo = max(step, edge // step * step), -(-halo // step) * step
    for start in range(0, count, edge):
        stop = min(start + edge, count)
        low, high = max(0, start - halo), min(count, stop + halo)
        yield slice(low, high), slice(start, stop), slice(start - low, stop - low)
