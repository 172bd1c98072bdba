"""Stubs of the CTK widgets that panels use, based on CTK's documented properties and signals."""

from __future__ import annotations

import types
from typing import Any

import qt
from PySide6 import QtCore, QtGui, QtWidgets

HEADER = 26  # pixels


class ctkCollapsibleButton(qt.QWidget):
    """A collapsible panel section."""

    contentsCollapsed = QtCore.Signal(bool)
    isQtClass = True

    def __init__(self, parent: Any = None) -> None:
        self.__dict__.update(heading="", folded=False, gap=14, hiddenByFolding=[])
        super().__init__(parent)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, HEADER, 0, 0)

    def _text(self) -> str:
        return self.heading

    def _setText(self, value: str) -> None:
        self.heading = value
        self.update()

    def _collapsed(self) -> bool:
        return self.folded

    def _setCollapsed(self, value: bool) -> None:
        if value == self.folded:
            return
        self.folded = value
        if value:
            children = [c for c in self.children() if isinstance(c, QtWidgets.QWidget) and not c.isHidden()]
            self.hiddenByFolding = children
        for child in self.hiddenByFolding:
            child.setVisible(not value)
        self.setMaximumHeight(HEADER + self.gap if value else 16777215)
        self.setMinimumHeight(HEADER + self.gap if value else 0)
        self.contentsCollapsed.emit(value)

    def _collapsedHeight(self) -> int:
        return self.gap

    def _setCollapsedHeight(self, value: int) -> None:
        """Height in pixels below the header of a collapsed section, applied at the next collapse."""
        self.gap = value

    text = QtCore.Property(str, _text, _setText)
    collapsedHeight = QtCore.Property(int, _collapsedHeight, _setCollapsedHeight)
    collapsed = QtCore.Property(bool, _collapsed, _setCollapsed)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.setPen(self.palette.mid().color())
        painter.setBrush(self.palette.button())
        painter.drawRect(0, 0, self.width - 1, HEADER - 2)
        painter.setPen(self.palette.buttonText().color())
        arrow = "\u25b8" if self.folded else "\u25be"
        painter.drawText(8, 0, self.width - 8, HEADER - 2, QtCore.Qt.AlignVCenter, f"{arrow}  {self.heading}")
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() < HEADER:
            self._setCollapsed(not self.folded)


class ctkMessageBox(qt.QMessageBox):
    """A message box with a “don't show again” option."""

    isQtClass = True

    def __init__(self, parent: Any = None) -> None:
        self.__dict__.update(settingsKey="")
        super().__init__(parent)

    def _key(self) -> str:
        return self.settingsKey

    def _setKey(self, value: str) -> None:
        self.settingsKey = value

    dontShowAgainSettingsKey = QtCore.Property(str, _key, _setKey)


def ctkModule() -> types.ModuleType:
    """The module `ctk`."""
    module = types.ModuleType("ctk")
    module.ctkCollapsibleButton, module.ctkMessageBox = ctkCollapsibleButton, ctkMessageBox
    return module
