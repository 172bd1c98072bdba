"""Plots as inline SVG, so that a report needs no other files or programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 260
"""Size of a plot in pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 160, 16, 36
_COLORS = ("#2f6fb0", "#c2571a", "#2e8b57", "#8e5ea2", "#b8860b", "#555555", "#a02040", "#008b8b")

Curve = Sequence[tuple[float, float]]
"""Points (x, y), x ascending."""


def drawing(curves: Mapping[str, Curve], across: str, up: str) -> str:
    """Return curves over a common axis as an SVG element; "" if no curve has a finite point.

    Args:
        curves: name -> points.
        across, up: axis labels with units.
    """
    finite = {name: [point for point in curve if all(map(math.isfinite, point))] for name, curve in curves.items()}
    finite = {name: curve for name, curve in finite.items() if curve}
    if not finite:
        return ""
    xs, ys = ([point[axis] for curve in finite.values() for point in curve] for axis in (0, 1))
    frame = _Frame((min(xs), max(xs)), (min([*ys, 0.0]), max([*ys, 0.0])))
    lines = [frame.axes(across, up)]
    for number, (name, curve) in enumerate(finite.items()):
        color = _COLORS[number % len(_COLORS)]
        points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in curve)
        lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.6" points="{points}"/>')
        lines.append(_text(WIDTH - _RIGHT + 10, _TOP + 12 + 18 * number, name, color=color))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">{"".join(lines)}</svg>'


class _Frame:
    """Mapping from values to plot coordinates."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self._across, self._up = across, up

    def x(self, value: float) -> float:
        low, high = self._across
        return _LEFT + (value - low) / ((high - low) or 1) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._up
        return HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - _TOP - _BOTTOM)

    def axes(self, across: str, up: str) -> str:
        """Return both axes with their limits, and a line at zero."""
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#888"/>']
        parts.append(f'<path d="M{_LEFT} {self.y(0):.1f}H{right}" stroke="#ccc"/>')
        parts += [_text(_LEFT - 6, self.y(value) + 4, f"{value:.4g}", "end") for value in self._up]
        parts += [_text(self.x(value), bottom + 16, f"{value:.4g}", "middle") for value in self._across]
        parts.append(_text((_LEFT + right) / 2, HEIGHT - 4, across, "middle"))
        parts.append(_text(_LEFT + 6, _TOP + 10, up))
        return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str = "start", color: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="{color}">{escape(words)}</text>'
