"""Stubs of the main window, its module selector, and the panel that shows one module at a time."""

from __future__ import annotations

from typing import Any

import ctk
import qt
import slicer
from PySide6 import QtCore, QtWidgets

from .views import LayoutManager, ViewArea


class ModulePanel(qt.QWidget):
    """qSlicerModulePanel: a module's widget below the collapsed help, in a vertically scrolling area."""

    def __init__(self) -> None:
        super().__init__()
        contents = qt.QWidget()
        rows = QtWidgets.QVBoxLayout(contents)
        rows.setSizeConstraint(QtWidgets.QLayout.SizeConstraint.SetMinAndMaxSize)
        rows.setContentsMargins(0, 0, 0, 0)
        help = ctk.ctkCollapsibleButton()
        help.text, help.collapsed = "Help && Acknowledgement", True
        rows.addWidget(help)
        policy = QtWidgets.QSizePolicy.Policy
        rows.addItem(QtWidgets.QSpacerItem(0, 0, policy.Minimum, policy.MinimumExpanding))
        self.area = qt.QScrollArea()
        self.area.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidgetResizable(True)
        self.area.setViewport(qt.QWidget())
        self.area.setWidget(contents)
        own = QtWidgets.QGridLayout(self)
        own.setContentsMargins(0, 0, 0, 0)
        own.addWidget(self.area)
        self._rows = rows

    def minimumSizeHint(self) -> QtCore.QSize:
        """Use at least the module's minimum width, which a scroll area would ignore."""
        width = self.area.widget().minimumSizeHint().width() + self.area.verticalScrollBar().sizeHint().width()
        return QtCore.QSize(width, super().minimumSizeHint().height())

    def add(self, widget: Any) -> None:
        widget.layout().setContentsMargins(0, 0, 0, 0)
        self._rows.insertWidget(1, widget, 1)
        widget.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, widget.sizePolicy.verticalPolicy())
        widget.setVisible(True)
        widget.installEventFilter(self)
        self.updateGeometry()
        widget.enter()

    def remove(self, widget: Any) -> None:
        widget.exit()
        widget.removeEventFilter(self)
        self._rows.takeAt(self._rows.indexOf(widget))
        widget.setVisible(False)
        widget.setParent(None)

    def eventFilter(self, widget: Any, event: Any) -> bool:
        if event.type() == QtCore.QEvent.Type.Resize:
            self.updateGeometry()
        return False


class OtherModule(qt.QWidget):
    """The widget of a core module of Slicer."""

    isQtClass = True

    def __init__(self) -> None:
        super().__init__()
        self.setLayout(qt.QVBoxLayout())

    def enter(self) -> None: ...

    def exit(self) -> None: ...


class ModuleSelector:
    """qSlicerModuleSelectorToolBar: the selected module, which changes before the old one is left."""

    def __init__(self, panel: ModulePanel) -> None:
        self.selectedModule, self._panel = "", panel
        self._others = {name: OtherModule() for name in ("Welcome", "Data", "Volumes")}

    def selectModule(self, name: str) -> None:
        old, self.selectedModule = self.selectedModule, name
        if old and old != name:
            self._panel.remove(self._representation(old))
        if name and old != name:
            self._panel.add(self._representation(name))

    def _representation(self, name: str) -> Any:
        """Return the widget of a scripted module; an empty one for core modules, of which the harness has only the names."""
        return self._others.get(name) or slicer.app.moduleManager().module(name).widgetRepresentation()


class qSlicerMainWindow(qt.QMainWindow):
    """The main window: a module's panel on the left, the views, and the status bar below."""

    isQtClass = True

    def __init__(self, layoutManager: LayoutManager) -> None:
        self.__dict__.update(panel=ModulePanel(), selector=None, views=layoutManager)
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.__dict__["selector"] = ModuleSelector(self.panel)
        self.setCentralWidget(ViewArea(layoutManager))
        dock = QtWidgets.QDockWidget("Modules")
        dock.setWidget(self.panel)
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self.statusBar()

    def moduleSelector(self) -> ModuleSelector:
        return self.selector

    def closeEvent(self, event: Any) -> None:
        """Deselect the module, so that it can restore the views; then save the layout."""
        self.selector.selectModule("")
        slicer.app.settings().setValue("MainWindow/layout", self.views.layout)
