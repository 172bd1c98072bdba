"""The area in which Slicer shows a module's panel, and what of it is seen."""

from __future__ import annotations

import qt


def show(widget) -> None:
    """Scroll the panel so that a widget is seen, when it has taken its place; nothing happens where nothing scrolls."""
    qt.QTimer.singleShot(0, lambda: ensureVisible(widget))


def ensureVisible(widget) -> None:
    area = widget.parentWidget()
    while area is not None and area.className() != "QScrollArea":
        area = area.parentWidget()
    if area is not None:
        area.ensureWidgetVisible(widget, 0, 0)
