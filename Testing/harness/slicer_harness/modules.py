"""Loads a scripted module like Slicer: one object for the module and one for its widget, both found by name."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

PROPERTIES = {
    "title": "", "categories": [], "contributors": [], "dependencies": [], "helpText": "", "acknowledgementText": "",
    "icon": None, "hidden": False, "associatedNodeTypes": [],
}  # fmt: skip


class Module:
    """qSlicerScriptedLoadableModule: the metadata of a scripted module."""

    def __init__(self, slicer: types.ModuleType, qt: types.ModuleType, path: Path) -> None:
        self.__dict__.update(PROPERTIES, slicer=slicer, qt=qt, path=str(path), name=path.stem, widget=None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in PROPERTIES and name != "widget":
            raise AttributeError(f"a module has no property {name!r}")
        self.__dict__[name] = value

    def widgetRepresentation(self) -> Any:
        if self.widget is None:
            self.widget = self.slicer.qSlicerScriptedLoadableModuleWidget(self)
            self.widget.make()
        return self.widget


class LoadableModule:
    """A core module of Slicer, whose logic is used by scripts."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


def addOwnModules(slicer: types.ModuleType) -> None:
    """Add the modules to slicer.modules whose logics are in slicer-core."""
    rendering, sequences = slicer.vtkSlicerVolumeRenderingLogic(), slicer.vtkSlicerSequencesLogic()
    plots = slicer.vtkSlicerPlotsLogic()
    markups = slicer.vtkSlicerMarkupsLogic()
    slicer.app.applicationLogic().SetModuleLogic("Markups", markups)
    for logic in (rendering, sequences, plots, markups):
        logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        logic.SetMRMLScene(slicer.mrmlScene)
    slicer.modules.colors = LoadableModule(slicer.app.applicationLogic().GetModuleLogic("Colors"))
    slicer.modules.volumerendering = LoadableModule(rendering)
    slicer.modules.sequences = LoadableModule(sequences)
    slicer.modules.plots = LoadableModule(plots)
    slicer.modules.markups = LoadableModule(markups)
    registerSegmentationRules(slicer)


def registerSegmentationRules(slicer: types.ModuleType) -> None:
    """Register the conversions between labelmaps and surfaces, as Slicer's Segmentations module does during setup."""
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in (
        slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule,
        slicer.vtkClosedSurfaceToBinaryLabelmapConversionRule,
    ):
        factory.RegisterConverterRule(rule())


def widgetClass(slicer: types.ModuleType, qt: types.ModuleType) -> type:
    class qSlicerScriptedLoadableModuleWidget(slicer.qMRMLWidget):
        """Return the widget that contains a scripted module's panel and forwards events to it."""

        isQtClass = True

        def __init__(self, module: Module) -> None:
            self.__dict__.update(module=module, python=None, isEntered=False)
            super().__init__()
            self.setLayout(qt.QVBoxLayout())
            self.setMRMLScene(slicer.mrmlScene)

        def make(self) -> None:
            name = self.module.name
            kind = getattr(sys.modules[name], f"{name}Widget")
            self.python = kind(self)
            setattr(slicer.modules, f"{name}Widget", self.python)
            self.python.setup()

        def self(self) -> Any:
            return self.python

        def enter(self) -> None:
            self.isEntered = True
            self.python.enter()

        def exit(self) -> None:
            self.python.exit()
            self.isEntered = False

        def reload(self) -> None:
            self.make()
            if self.isEntered:
                self.python.enter()

    return qSlicerScriptedLoadableModuleWidget


def load(slicer: types.ModuleType, qt: types.ModuleType, path: Path) -> Module:
    """Load the module in a file, like Slicer for each module folder."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    loaded = Module(slicer, qt, path)
    getattr(module, path.stem)(loaded)
    setattr(slicer.modules, path.stem.lower(), loaded)
    slicer.app.moduleManager().add(path.stem, loaded)
    return loaded
