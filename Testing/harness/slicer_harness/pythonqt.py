"""The modules `qt` and `ctk` as in Slicer's Python, based on PySide6's real Qt.

Slicer wraps Qt with PythonQt, whose conventions differ from PySide's. Each Qt class gets these conventions:

    button.text = "Go"                     a Qt property is an attribute; button.text() fails, as a str is not callable
    button.connect("clicked(bool)", f)     signals by their C++ signature; an unknown one raises
    button.colour = "red"                  an attribute unknown to Qt is refused
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

VIRTUAL = {"sizeHint", "minimumSizeHint"}
"""Properties that are also virtual functions: Qt would call the Python attribute, which calls Qt, recursing forever."""

VALUE_CLASSES = (
    "QByteArray", "QDate", "QDateTime", "QDir", "QEvent", "QEventLoop", "QFile", "QFileInfo", "QLocale", "QPoint", "QRect",
    "QSize", "QStandardPaths", "Qt", "QUrl",
)  # fmt: skip
GUI_CLASSES = (
    "QBrush",
    "QColor",
    "QDesktopServices",
    "QFont",
    "QIcon",
    "QImage",
    "QPainter",
    "QPalette",
    "QPen",
    "QPixmap",
)


class Property:
    """A Qt property as an attribute: uses Qt's getter and setter."""

    def __init__(self, name: str, base: type) -> None:
        self.name = name
        self.getter = getattr(base, name, None) or getattr(base, f"is{name[0].upper()}{name[1:]}", None)
        self.setter = getattr(base, f"set{name[0].upper()}{name[1:]}", None)

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:  # a static function of the same name, such as QTimer.singleShot
            return self.getter
        value = self._read(instance)
        return asSlicerKeepsIt(value) if self.name == "toolTip" else value

    def _read(self, instance: Any) -> Any:
        if callable(self.getter):
            try:
                return self.getter(instance)
            except TypeError:  # overloaded
                pass
        return QtCore.QObject.property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if value is None:
            raise TypeError(f"the property {self.name!r} cannot be set to None")
        if self.setter is not None:
            self.setter(instance, value)
        elif not QtCore.QObject.setProperty(instance, self.name, value):
            raise AttributeError(f"the property {self.name!r} cannot be set to {value!r}")


def asSlicerKeepsIt(tip: str) -> str:
    """Slicer converts plain tool tips to HTML, so that long ones are wrapped."""
    if not tip or QtGui.Qt.mightBeRichText(tip):
        return tip
    return QtGui.Qt.convertFromPlainText(tip, QtCore.Qt.WhiteSpaceMode.WhiteSpaceNormal)


class PythonQtObject:
    """What PythonQt adds to every QObject."""

    isQtClass = True

    @property
    def name(self) -> str:
        return self.objectName

    @name.setter
    def name(self, value: str) -> None:
        self.setObjectName(value)

    def className(self) -> str:
        return type(self).__name__

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):  # PySide looks these two up bypassing base classes
            return types.MethodType(PythonQtObject.__dict__[f"{name}BySignature"], self)
        return super().__getattribute__(name)

    def connectBySignature(self, signal: str, slot: Callable[..., Any]) -> bool:
        """Connect by C++ signature; the slot gets as many arguments as the signature has and the slot accepts."""
        passed = min(argumentCount(self, signal), acceptedArguments(slot))
        call = [lambda: slot(), lambda a: slot(a), lambda a, b: slot(a, b)][
            passed
        ]  # PySide inspects the number of arguments
        connections(self).append((signal, slot, call))
        signalOf(self, signal).connect(call)
        return True

    def disconnectBySignature(self, signal: str, slot: Callable[..., Any]) -> bool:
        for entry in connections(self):
            if entry[:2] == (signal, slot):
                connections(self).remove(entry)
                signalOf(self, signal).disconnect(entry[2])
                return True
        raise ValueError(f"{signal} of {self.className()} is not connected to {slot}")

    def findChildren(self, kind: type, name: str = "") -> list[Any]:
        return super().findChildren(rawClass(kind), name) if name else super().findChildren(rawClass(kind))

    def findChild(self, kind: type, name: str = "") -> Any:
        return next(iter(self.findChildren(kind, name)), None)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name.encode() in [bytes(n) for n in self.dynamicPropertyNames()]:
            return self.property(name)
        raise AttributeError(f"{type(self).__name__} has no attribute named {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if "isQtClass" not in type(self).__dict__ or hasattr(type(self), name) or name in self.__dict__:
            if callable(getattr(type(self), name, None)) and not isinstance(
                inspect.getattr_static(type(self), name), (Property, property, QtCore.Property)
            ):
                raise AttributeError(f"{name!r} of {type(self).__name__} is a function and cannot be replaced")
            super().__setattr__(name, value)
        elif name.encode() in [bytes(n) for n in self.dynamicPropertyNames()]:
            self.setProperty(name, value)
        else:
            raise AttributeError(
                f"Attribute {name!r} does not exist and creation of new attributes on C++ objects is not allowed"
            )


def connections(instance: Any) -> list[tuple[str, Any, Any]]:
    """Connections made by signature, with the adapter functions between signal and slot."""
    return instance.__dict__.setdefault("pythonQtConnections", [])


def argumentCount(instance: Any, signal: str) -> int:
    """Return the arguments of a signal's C++ signature; ValueError if the object has no such signal."""
    meta = instance.metaObject()
    if "(" not in signal or signal.startswith("2"):
        raise ValueError(f"{signal!r} is no signature of a signal")
    known = {bytes(meta.method(index).methodSignature()).decode() for index in range(meta.methodCount())}
    known |= set(getattr(type(instance), "vtkSignals", {}))
    found = bytes(QtCore.QMetaObject.normalizedSignature(signal)).decode()
    if found not in known:
        raise ValueError(f"{type(instance).__name__} has no signal {signal!r}")
    inside = found[found.index("(") + 1 : -1]
    return len(inside.split(",")) if inside else 0


def signalOf(instance: Any, signal: str) -> Any:
    vtkSignals = getattr(type(instance), "vtkSignals", {})
    return getattr(instance, vtkSignals.get(signal, signal.partition("(")[0]))


def acceptedArguments(slot: Callable[..., Any]) -> int:
    """Return the number of positional arguments that a slot accepts."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):  # a function of Qt
        return 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def rawClass(kind: type) -> type:
    """Return PySide's class behind one of ours."""
    return next(base for base in kind.__mro__ if base.__module__.startswith("PySide6"))


def wrapped(base: type) -> type:
    """Return the Qt class with PythonQt's conventions."""
    meta = base.staticMetaObject
    names = {meta.property(index).name() for index in range(meta.propertyCount())} - VIRTUAL
    body: dict[str, Any] = {name: Property(name, base) for name in names}
    body["isQtClass"] = True
    if hasattr(base, "exec") and not base.__name__.endswith("Application"):
        body["exec_"] = lambda self, *arguments: base.exec(self, *arguments)
    return type(base)(base.__name__, (PythonQtObject, base), body)


def qtModule() -> types.ModuleType:
    """The module `qt`: all Qt classes in one namespace."""
    module = types.ModuleType("qt")
    for name in VALUE_CLASSES:
        setattr(module, name, getattr(QtCore, name))
    for name in GUI_CLASSES:
        setattr(module, name, getattr(QtGui, name))
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            found = getattr(source, name)
            if name in ("QObject", "QTimer", "QSettings", "QAction", "QShortcut") or (
                isinstance(found, type) and issubclass(found, (QtWidgets.QWidget, QtWidgets.QLayout))
            ):
                setattr(module, name, wrapped(found))
    module.QApplication = QtWidgets.QApplication
    module.QMessageBox = messageBoxClass(module.QMessageBox)
    module.QFileDialog, module.QDesktopServices = FileDialog, DesktopServices
    module.QSizePolicy, module.QSpacerItem = QtWidgets.QSizePolicy, QtWidgets.QSpacerItem
    module.QUiLoader = QtUiTools.QUiLoader  # replaced by `ui.Loader`
    return module


PATHS: list[str] = []
"""Paths selected in the next file dialogs."""

OPENED: list[str] = []
"""Paths that other programs were asked to open."""


class FileDialog:
    """qt.QFileDialog: its static functions, which return a str in PythonQt. A dialog without a prepared answer raises."""

    @staticmethod
    def getOpenFileName(parent: Any = None, caption: str = "", directory: str = "", filter: str = "") -> str:
        return FileDialog._chosen(caption)

    @staticmethod
    def getExistingDirectory(parent: Any = None, caption: str = "", directory: str = "") -> str:
        return FileDialog._chosen(caption)

    @staticmethod
    def _chosen(caption: str) -> str:
        if not PATHS:
            raise AssertionError(f"a file dialog that nobody answers: {caption}")
        return PATHS.pop(0)


class DesktopServices:
    """qt.QDesktopServices: records what a browser or a file manager would show."""

    @staticmethod
    def openUrl(url: QtCore.QUrl) -> bool:
        if not isinstance(url, QtCore.QUrl):
            raise TypeError(f"openUrl takes a QUrl, not {url!r}")
        OPENED.append(url.toLocalFile() or url.toString())
        return True


ANSWERS: list[tuple[str, list[str]]] = []
"""Buttons to press in the next message boxes, each with a list that receives the box's texts."""


def messageBoxClass(base: type) -> type:
    """PythonQt's enumerations are numbers, and a dialog returns one: here it returns the enumeration.

    A box without a prepared answer would wait forever, so it raises.
    """

    def exec_(self: Any) -> Any:
        texts = "\n".join(filter(None, (self.text, self.informativeText, self.detailedText)))
        if not ANSWERS:
            raise AssertionError(f"a message box that nobody answers: {texts}")
        button, seen = ANSWERS.pop(0)
        seen.append(texts)
        pressed = self.button(getattr(QtWidgets.QMessageBox.StandardButton, button))
        QtCore.QTimer.singleShot(20, pressed.click)
        return QtWidgets.QMessageBox.StandardButton(QtWidgets.QMessageBox.exec(self))

    return type(base)("QMessageBox", (base,), {"exec_": exec_, "isQtClass": True})
