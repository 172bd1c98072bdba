"""Loads .ui files like Slicer's QUiLoader, and refuses what that would silently ignore."""

from __future__ import annotations

import types
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools

from .pythonqt import VIRTUAL, Property

LAYOUTS = {"QVBoxLayout", "QHBoxLayout", "QFormLayout", "QGridLayout"}


class UiError(RuntimeError):
    """The .ui file refers to something that Slicer does not have."""


def loaderClass(*modules: types.ModuleType) -> type:
    """QUiLoader that finds widget classes in these modules."""

    class QUiLoader(QtUiTools.QUiLoader):
        def load(self, file: QtCore.QFile) -> Any:
            root = ElementTree.fromstring(bytes(file.readAll()))
            file.close()
            check(root)
            connections = takeConnections(root)
            data = QtCore.QByteArray(ElementTree.tostring(root))
            buffer = QtCore.QBuffer(data)
            buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
            self.made: list[Any] = []
            widget = super().load(buffer)
            for sender, signal, receiver, slot in connections:
                connect(widget, sender, signal, receiver, slot)
            return widget

        def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
            widget = find(className)(parent)
            widget.setObjectName(name)
            self.made.append(widget)
            return widget

    def find(name: str) -> type:
        for module in modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise UiError(f"there is no widget class {name!r}")

    def check(root: ElementTree.Element) -> None:
        for element in root.iter("widget"):
            kind = find(element.attrib["class"])
            for entry in element.findall("property"):
                name = entry.attrib["name"]
                if entry.attrib.get("stdset") != "0" and not hasProperty(kind, name):
                    raise UiError(f"{element.attrib['class']} has no property {name!r}")
        for element in root.iter("layout"):
            if element.attrib["class"] not in LAYOUTS:
                raise UiError(f"there is no layout class {element.attrib['class']!r}")

    return QUiLoader


def hasProperty(kind: type, name: str) -> bool:
    """True if the class has a Qt property of that name."""
    found = (base.__dict__.get(name) for base in kind.__mro__)
    return name in VIRTUAL or any(isinstance(one, (Property, QtCore.Property)) for one in found)


def takeConnections(root: ElementTree.Element) -> list[tuple[str, str, str, str]]:
    """Create the connections of the file in Python, since they may pass VTK objects."""
    found = [
        tuple(entry.findtext(part, "") for part in ("sender", "signal", "receiver", "slot"))
        for entry in root.iter("connection")
    ]
    for parent in list(root.findall("connections")):
        root.remove(parent)
    return found


def connect(widget: Any, sender: str, signal: str, receiver: str, slot: str) -> None:
    def named(name: str) -> Any:
        found = widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
        if found is None:
            raise UiError(f"a connection names {name!r}, which is not in the file")
        return found

    function = getattr(named(receiver), slot.partition("(")[0], None)
    if function is None:
        raise UiError(f"{receiver} has no slot {slot!r}")
    named(sender).connect(signal, function)
