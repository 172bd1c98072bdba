"""Word-wrapped labels: limits them to the panel's width and gives them the height that their text needs.

Slicer's module panel takes the width of its widest widget and ignores height-for-width. A long sentence would therefore
widen the panel, and a label of three lines would get the height of one.
"""

from __future__ import annotations

from collections.abc import Iterable

import qt

NO_LIMIT = 16777215  # QWIDGETSIZE_MAX, which Python does not have


class Labels(qt.QObject):
    """Adjusts the size of word-wrapped labels.

    Args:
        widgets: any widgets; only word-wrapped labels are used.
    """

    def __init__(self, widgets: Iterable) -> None:
        qt.QObject.__init__(self)
        self.labels = [widget for widget in widgets if isinstance(widget, qt.QLabel) and widget.wordWrap]
        self.fitted = [("", 0)] * len(self.labels)  # text and width for which each label was last fitted
        for label in self.labels:
            label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
            label.installEventFilter(self)  # for changes of its width
            label.parentWidget().installEventFilter(self)  # for changes of its text

    def cleanup(self) -> None:
        """Remove the event filters."""
        for label in self.labels:
            label.removeEventFilter(self)
            label.parentWidget().removeEventFilter(self)
        self.labels.clear()

    def eventFilter(self, watched, event) -> bool:
        """Qt event filter: refit labels when they or their parents change."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest):
            for index, label in enumerate(self.labels):
                if watched in (label, label.parentWidget()):
                    self.fit(index)
        return False

    def fit(self, index: int) -> None:
        """Set the height that a label's text needs at its width."""
        label = self.labels[index]
        if self.fitted[index] != (label.text, label.width):
            self.fitted[index] = label.text, label.width
            label.setMinimumHeight(0)  # otherwise it affects heightForWidth
            height = label.heightForWidth(label.width) if label.text else 0
            label.setMinimumHeight(height)
            label.setMaximumHeight(height or NO_LIMIT)  # QLabel's size hint remembers larger minimum heights
