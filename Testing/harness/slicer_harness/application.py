"""Stub of slicer.app: the application object, its settings, its files and its main window."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
import slicer
from PySide6 import QtCore, QtWidgets

from .main_window import qSlicerMainWindow
from .views import LayoutManager


class ModuleManager:
    """Notifies modules that they are about to be unloaded."""

    def __init__(self) -> None:
        class Signals(qt.QObject):
            isQtClass = True
            moduleAboutToBeUnloaded = QtCore.Signal(str)

        self._signals, self._modules = Signals(), dict[str, Any]()

    def connect(self, signal: str, slot: Any) -> bool:
        return self._signals.connect(signal, slot)

    def disconnect(self, signal: str, slot: Any) -> bool:
        return self._signals.disconnect(signal, slot)

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def add(self, name: str, module: Any) -> None:
        """Harness only: register a loaded module."""
        self._modules[name] = module

    def unload(self, name: str) -> None:
        """Harness only: unload a module as at Slicer's exit."""
        self._signals.moduleAboutToBeUnloaded.emit(name)


class CoreIOManager:
    """Reads and writes volumes with Slicer's real storage nodes."""

    def fileType(self, name: str) -> str:
        return "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return "VolumeFile"

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        logic = slicer.vtkSlicerVolumesLogic()
        logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        logic.SetMRMLScene(slicer.mrmlScene)
        path = properties["fileName"]
        node = logic.AddArchetypeVolume(path, properties.get("name", Path(path).stem), 0)
        if node is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        if kind == "SceneFile":
            slicer.mrmlScene.SetURL(properties["fileName"])
            return bool(slicer.mrmlScene.Commit(properties["fileName"]))
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(properties["fileName"]))
        return bool(node.GetStorageNode().WriteData(node))


class qSlicerApplication(QtWidgets.QApplication):
    """Stub of slicer.app. Attributes that Slicer's application does not have are refused."""

    startupCompleted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-harness-")
        self._testing, self._views, self._layout, self._window = False, None, None, None
        self._slots: list[tuple[str, Any, Any]] = []
        self._modules, self._files = ModuleManager(), CoreIOManager()
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._colors = slicer.vtkSlicerColorLogic()
        self._started = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_started", False) and not name.startswith("_"):
            raise AttributeError(f"Attribute {name!r} does not exist on the application")
        super().__setattr__(name, value)

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):
            return super().__getattribute__(f"_{name}BySignature")
        return super().__getattribute__(name)

    def _signal(self, signal: str) -> Any:
        return {"startupCompleted()": self.startupCompleted, "aboutToQuit()": self.aboutToQuit}[signal]

    def _connectBySignature(self, signal: str, slot: Any) -> bool:
        """Connect a slot; the connection keeps the slot and its object alive."""
        call = lambda: slot()  # noqa: E731
        self._slots.append((signal, slot, call))
        self._signal(signal).connect(call)
        return True

    def _disconnectBySignature(self, signal: str, slot: Any) -> bool:
        for entry in self._slots:
            if entry[:2] == (signal, slot):
                self._slots.remove(entry)
                self._signal(signal).disconnect(entry[2])
                return True
        raise ValueError(f"{signal} of the application is not connected to {slot}")

    applicationName = "Slicer"
    temporaryPath = property(lambda self: self._folder.name)
    majorVersion, minorVersion, revision = 5, 13, "31053"

    @property
    def slicerUserSettingsFilePath(self) -> str:
        return qt.QSettings().fileName()

    def testingEnabled(self) -> bool:
        return self._testing

    def translate(self, context: str, text: str) -> str:
        return text

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def coreIOManager(self) -> CoreIOManager:
        return self._files

    ioManager = coreIOManager

    def layoutManager(self) -> LayoutManager | None:
        return self._layout

    def userSettings(self) -> Any:
        return qt.QSettings()

    settings = userSettings

    def applicationLogic(self) -> Any:
        return self._logic

    def prepareScene(self) -> None:
        """Harness only: add what the application's logics add to a scene or require."""
        self._logic.SetHomeDirectory(self._folder.name)
        self._logic.SetShareDirectory(self._folder.name)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._colors.SetMRMLApplicationLogic(self._logic)
        self._colors.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetModuleLogic("Colors", self._colors)

    def pauseRender(self) -> None: ...

    def resumeRender(self) -> None: ...

    def openMainWindow(self) -> Any:
        """Harness only: create the main window, with views and a module panel."""
        self._views = self._views or LayoutManager(slicer)  # one set per application: their nodes are in the scene
        self._layout = self._views
        self._window = qSlicerMainWindow(self._layout)
        return self._window

    def closeMainWindow(self) -> None:
        """Harness only."""
        if self._window is not None:
            self._window.close()
            self._window.deleteLater()
        self._window = self._layout = None
