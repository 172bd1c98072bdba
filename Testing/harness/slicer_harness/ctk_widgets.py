"""Stubs of the CTK widgets that panels use, based on CTK's documented properties and signals."""

from __future__ import annotations

import types
from typing import Any

import qt
from PySide6 import QtCore, QtGui, QtWidgets

HEADER = 26  # pixels
WANTED = "visibilityToParent"  # whether a child is to be seen while its section is open; named as in CTK
EXPLICIT = QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide


class ctkCollapsibleButton(qt.QWidget):
    """A collapsible panel section.

    While it is collapsed its children stay hidden, also those that are added or shown then; they appear when it opens.
    A child that was hidden explicitly stays hidden.
    """

    contentsCollapsed = QtCore.Signal(bool)
    isQtClass = True

    def __init__(self, parent: Any = None) -> None:
        self.__dict__.update(heading="", folded=False, gap=14, folding=False)
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
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._fold(child)
        self.setMaximumHeight(HEADER + self.gap if value else 16777215)
        self.setMinimumHeight(HEADER + self.gap if value else 0)
        self.contentsCollapsed.emit(value)

    def _fold(self, child: Any) -> None:
        """Hide or show a child as the section demands, and let Qt forget that somebody asked for it."""
        if child.property(WANTED) is None:
            child.setProperty(WANTED, not (child.isHidden() and child.testAttribute(EXPLICIT)))
        if not child.property(WANTED):
            return
        self.folding = True
        child.setVisible(not self.folded)
        child.setAttribute(EXPLICIT, False)
        self.folding = False

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        child = event.child()
        # Not when it is added: then it is still under construction and would become a plain widget to Python.
        if event.type() == QtCore.QEvent.Type.ChildPolished and child.isWidgetType():
            child.installEventFilter(self)
            if self.folded:
                self._fold(child)

    def eventFilter(self, child: Any, event: Any) -> bool:
        shown = event.type() == QtCore.QEvent.Type.ShowToParent
        if not self.folding and (shown or event.type() == QtCore.QEvent.Type.HideToParent):
            child.setProperty(WANTED, shown)
            if shown and self.folded:
                self._fold(child)
        return False

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
