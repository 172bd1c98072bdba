"""Labels whose text is broken into lines: as wide as the panel and not wider, and as high as their text needs.

Slicer's module panel is as wide as the widest thing in it wants to be, and asks nothing how high it is at a given width. So a
long sentence would widen the panel, and one that takes three lines would get the height of one.
"""

from __future__ import annotations

from collections.abc import Iterable

import qt


class Labels(qt.QObject):
    """Looks after the labels among some widgets.

    Args:
        widgets: anything; labels that break lines are looked after.
    """

    def __init__(self, widgets: Iterable) -> None:
        qt.QObject.__init__(self)
        self.labels = [widget for widget in widgets if isinstance(widget, qt.QLabel) and widget.wordWrap]
        self.fitted = [("", 0)] * len(self.labels)  # text and width that each has its height for
        for label in self.labels:
            label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
            label.installEventFilter(self)  # for a new width
            label.parentWidget().installEventFilter(self)  # for a new text

    def cleanup(self) -> None:
        """Let go of all."""
        for label in self.labels:
            label.removeEventFilter(self)
            label.parentWidget().removeEventFilter(self)
        self.labels.clear()

    def eventFilter(self, watched, event) -> bool:
        """Qt's: called before each event of a label, or of what it lies in."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest):
            for index, label in enumerate(self.labels):
                if watched in (label, label.parentWidget()):
                    self.fit(index)
        return False

    def fit(self, index: int) -> None:
        """Give a label the height that its text needs at its width."""
        label = self.labels[index]
        if self.fitted[index] != (label.text, label.width):
            self.fitted[index] = label.text, label.width
            label.setMinimumHeight(0)  # else Qt counts it in
            label.setMinimumHeight(label.heightForWidth(label.width) if label.text else 0)
