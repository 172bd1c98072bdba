"""Scrolling of Slicer's module panel."""

from __future__ import annotations

import qt


def show(widget) -> None:
    """Scroll the panel to a widget after layout; does nothing without a scroll area."""
    qt.QTimer.singleShot(0, lambda: ensureVisible(widget))


def ensureVisible(widget) -> None:
    area = widget.parentWidget()
    while area is not None and area.className() != "QScrollArea":
        area = area.parentWidget()
    if area is not None:
        area.ensureWidgetVisible(widget, 0, 0)
