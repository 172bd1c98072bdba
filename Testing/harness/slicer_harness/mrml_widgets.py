"""Stubs of Slicer's MRML widgets, based on their documented properties and signals."""

from __future__ import annotations

from typing import Any

import qt
import shiboken6
import slicer
from PySide6 import QtCore, QtWidgets


class qMRMLWidget(qt.QWidget):
    """A panel that passes its scene to the widgets in it."""

    mrmlSceneChanged = QtCore.Signal(object)
    isQtClass = True
    vtkSignals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}  # noqa: RUF012

    def __init__(self, parent: Any = None) -> None:
        self.__dict__.update(scene=None)
        super().__init__(parent)

    def mrmlScene(self) -> Any:
        return self.scene

    def setMRMLScene(self, scene: Any) -> None:
        self.scene = scene
        self.mrmlSceneChanged.emit(scene)


FLAGS = {
    "noneEnabled": False, "addEnabled": True, "removeEnabled": True, "editEnabled": False, "renameEnabled": False,
    "showHidden": False, "showChildNodeTypes": True, "selectNodeUponCreation": True,
}  # fmt: skip


def flagProperty(name: str) -> Any:
    def read(self: Any) -> bool:
        return self.options[name]

    def write(self: Any, value: bool) -> None:
        self.options[name] = value
        self.refresh()

    return QtCore.Property(bool, read, write)


class qMRMLSortFilterProxyModel(qt.QObject):
    """Filter of the nodes that a selector offers."""

    isQtClass = True

    def _hiddenIDs(self) -> list[str]:
        return list(self.parent().hidden)

    def _setHiddenIDs(self, value: list[str]) -> None:
        self.parent().hidden = list(value)
        self.parent().refresh()

    hiddenNodeIDs = QtCore.Property("QStringList", _hiddenIDs, _setHiddenIDs)


class qMRMLNodeComboBox(qt.QWidget):
    """Selects a node of the scene."""

    currentNodeIDChanged = QtCore.Signal(str)
    nodeOfNodeChanged = QtCore.Signal(object)
    isQtClass = True
    vtkSignals = {"currentNodeChanged(vtkMRMLNode*)": "nodeOfNodeChanged"}  # noqa: RUF012

    def __init__(self, parent: Any = None) -> None:
        self.__dict__.update(
            options=dict(FLAGS),
            types=[],
            none="None",
            base="",
            scene=None,
            ids=[],
            current="",
            filling=False,
            tags=[],
            followed=set(),
            hidden=[],
        )
        super().__init__(parent)
        self.__dict__["model"] = qMRMLSortFilterProxyModel(self)
        self.__dict__["box"] = box = QtWidgets.QComboBox(self)
        box.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        box.currentIndexChanged.connect(lambda index: self.chosen(index))

    def _types(self) -> list[str]:
        return self.types

    def _setTypes(self, value: list[str]) -> None:
        self.types = list(value)
        self.refresh()

    def _none(self) -> str:
        return self.none

    def _setNone(self, value: str) -> None:
        self.none = value
        self.refresh()

    def _base(self) -> str:
        return self.base

    def _setBase(self, value: str) -> None:
        self.base = value

    nodeTypes = QtCore.Property("QStringList", _types, _setTypes)
    noneDisplay = QtCore.Property(str, _none, _setNone)
    baseName = QtCore.Property(str, _base, _setBase)

    def mrmlScene(self) -> Any:
        return self.scene

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self.tags:
            self.scene.RemoveObserver(tag)
        self.scene, self.tags, self.followed = scene, [], set()
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self.tags = [scene.AddObserver(event, lambda *_: self.refresh()) for event in events]
        self.refresh()

    def refresh(self) -> None:
        if "box" not in self.__dict__ or not shiboken6.isValid(self):  # not created yet, or deleted with its panel
            return
        nodes = [] if self.scene is None else self.nodes()
        self.followNames(nodes)
        rows = ([("", self.none)] if self.options["noneEnabled"] else []) + [(n.GetID(), n.GetName()) for n in nodes]
        if self.options["addEnabled"]:
            rows.append(("create", "Create new " + (self.base or "node")))
        self.filling, before = True, self.ids
        self.box.clear()
        self.box.addItems([label for _, label in rows])
        self.ids = [identity for identity, _ in rows]
        self.box.setCurrentIndex(self.ids.index(self.current) if self.current in self.ids else -1)
        self.filling = False
        if self.current and self.current not in self.ids:
            self.setCurrentNodeID(self.neighbour(before))

    def neighbour(self, before: list[str]) -> str:
        """Select the next node when the current one is removed, else the last one, like a combo box."""
        nodes = [identity for identity in self.ids if identity != "create"]
        place = before.index(self.current) if self.current in before else -1
        return nodes[min(place, len(nodes) - 1)] if nodes and place >= 0 and not self.scene.IsClosing() else ""

    def followNames(self, nodes: list[Any]) -> None:
        for node in nodes:
            if node.GetID() not in self.followed:
                node.AddObserver("ModifiedEvent", lambda n, _: self.renamed(n))
        self.followed = {node.GetID() for node in nodes}

    def renamed(self, node: Any) -> None:
        if shiboken6.isValid(self) and node.GetID() in self.ids:
            self.box.setItemText(self.ids.index(node.GetID()), node.GetName())

    def nodes(self) -> list[Any]:
        found = [n for kind in self.types for n in slicer.util.getNodesByClass(kind)]
        exact = [n for n in found if self.options["showChildNodeTypes"] or n.GetClassName() in self.types]
        offered = [n for n in exact if self.options["showHidden"] or not n.GetHideFromEditors()]
        return [n for n in offered if n.GetID() not in self.hidden]

    def sortFilterProxyModel(self) -> Any:
        return self.model

    def chosen(self, index: int) -> None:
        if self.filling or index < 0:
            return
        if self.ids[index] == "create":
            node = self.scene.AddNewNodeByClass(self.types[0], self.scene.GenerateUniqueName(self.base or "Node"))
            self.setCurrentNodeID(node.GetID())
        else:
            self.setCurrentNodeID(self.ids[index])

    def currentNode(self) -> Any:
        return self.scene.GetNodeByID(self.current) if self.scene is not None and self.current else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID("" if node is None else node.GetID())

    def setCurrentNodeID(self, identity: str) -> None:
        if identity == self.current:
            return
        self.current = identity if identity in self.ids else ""
        self.filling = True
        self.box.setCurrentIndex(self.ids.index(self.current) if self.current in self.ids else -1)
        self.filling = False
        self.currentNodeIDChanged.emit(self.current)
        self.nodeOfNodeChanged.emit(self.currentNode())

    def nodeCount(self) -> int:
        return len([identity for identity in self.ids if identity not in ("", "create")])

    currentNodeID = QtCore.Property(str, lambda self: self.current, setCurrentNodeID)
    for flag in FLAGS:
        locals()[flag] = flagProperty(flag)
    del flag


def addWidgets() -> None:
    """Add the widget classes to the module `slicer`."""
    slicer.qMRMLWidget, slicer.qMRMLNodeComboBox = qMRMLWidget, qMRMLNodeComboBox
