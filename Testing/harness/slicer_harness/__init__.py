"""Runs a scripted module without the Slicer application.

Real: the MRML scene, its nodes and logics, slicer.util (slicer-core), Qt (PySide6). Imitated, from documentation: the CTK
and MRML widgets, slicer.app, slicer.modules, ScriptedLoadableModule, parameterNodeWrapper, and PythonQt's wrapping of Qt.
What PythonQt or Slicer would refuse is refused here, too. Not covered: PythonQt's ownership rules, the internals of the real
CTK and MRML widgets, Slicer's module discovery, the DICOM browser.

    harness = slicer_harness.start()                  # once per process
    module = harness.load(Path("MyModule/MyModule.py"))
    widget = module.widgetRepresentation().self()
"""

from __future__ import annotations

import html
import os
import re
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

_running: Harness | None = None


def start() -> Harness:
    """Return the harness of this process, starting it on the first call."""
    global _running
    if _running is None:
        _running = Harness()
    return _running


class Harness:
    """Stub application, with helpers for tests.

    Attributes:
        slicer, qt: the modules, also importable by these names from now on.
        errors: exceptions raised in Qt or VTK callbacks; a test that leaves one fails.
        console: warnings and errors of VTK and MRML, which Slicer shows in its Python console.
    """

    def __init__(self) -> None:
        from PySide6 import QtCore

        from . import console, launcher, pythonqt

        self.errors: list[BaseException] = []
        self.console = console.listen()
        self.QEventLoop = QtCore.QEventLoop
        sys.excepthook = self._caught
        qt = self.qt = sys.modules["qt"] = pythonqt.qtModule()
        from . import ctk_widgets  # from here on `qt` can be imported

        ctk = sys.modules["ctk"] = ctk_widgets.ctkModule()
        self._settings = tempfile.TemporaryDirectory(prefix="slicer-harness-settings-")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(
            QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, self._settings.name
        )
        sys.executable = str(launcher.write(Path(self._settings.name)))
        import slicer

        from . import (  # and `ctk`, `slicer`
            application,
            modules,
            mrml_widgets,
            parameter_nodes,
            sample_data,
            scripted,
            ui,
        )

        self.slicer = slicer
        slicer.mrmlScene, slicer.selfTests = slicer.vtkMRMLScene(), {}
        slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
        slicer.qSlicerScriptedLoadableModule = modules.Module
        mrml_widgets.addWidgets()
        slicer.qSlicerScriptedLoadableModuleWidget = modules.widgetClass(slicer, qt)
        qt.QUiLoader = ui.loaderClass(qt, ctk, slicer)
        slicer.app = application.qSlicerApplication()
        slicer.app.setOrganizationName("slicer-harness")
        sys.modules["SampleData"] = sample_data.sampleDataModule(slicer)
        self._install(scripted, parameter_nodes)
        self._prepareScene()

    def _caught(self, kind: type, error: BaseException, trace: Any) -> None:
        """Print and record an exception in a callback, after which Qt and VTK continue."""
        self.errors.append(error)
        sys.__excepthook__(kind, error, trace)

    def _install(self, scripted: types.ModuleType, parameter_nodes: types.ModuleType) -> None:
        slicer = self.slicer
        wrapper = types.ModuleType("slicer.parameterNodeWrapper")
        wrapper.parameterNodeWrapper = parameter_nodes.parameterNodeWrapper(slicer)
        for name in ("WithinRange", "Minimum", "Maximum", "Choice", "Default"):
            setattr(wrapper, name, getattr(parameter_nodes, name))
        made = {
            "ScriptedLoadableModule": scripted.scriptedModule(),
            "i18n": scripted.i18n(),
            "parameterNodeWrapper": wrapper,
        }
        for name, module in made.items():
            setattr(slicer, name, module)
            sys.modules[f"slicer.{name}"] = module

    def _prepareScene(self) -> None:
        """Add what the application adds to a scene: colors, a subject hierarchy, a download cache."""
        from . import modules, subject_hierarchy

        slicer = self.slicer
        slicer.app.prepareScene()
        modules.addOwnModules(slicer)
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(slicer.mrmlScene)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(slicer.app.temporaryPath)
        self._remote.AddDataIOToScene()
        self._hierarchy = subject_hierarchy.keepItems(slicer)

    def load(self, path: Path) -> Any:
        """Load a scripted module."""
        from . import modules

        return modules.load(self.slicer, self.qt, path)

    def completeStartup(self) -> None:
        """Finish the startup after all modules are loaded and the window exists."""
        self.slicer.app.startupCompleted.emit()

    def wait(self, until: Callable[[], Any], seconds: float = 120) -> None:
        """Run the application's event loop until a condition is true."""
        end = time.monotonic() + seconds
        caught: list[BaseException] = []

        def look() -> None:
            try:
                if time.monotonic() > end:
                    raise TimeoutError(f"{until} did not become true within {seconds} s")
                if not until():
                    return
            except BaseException as error:
                caught.append(error)
            timer.stop()
            loop.quit()

        loop, timer = self.QEventLoop(), self.qt.QTimer()
        timer.connect("timeout()", look)
        timer.start(5)
        loop.exec()
        timer.disconnect("timeout()", look)  # or Qt would keep alive whatever `until` references
        if caught:
            raise caught[0]

    def run(self, action: Callable[[], Any]) -> None:
        """Call a function from the event loop, like user actions; message boxes require it."""
        loop = self.QEventLoop()

        def act() -> None:
            try:
                action()
            finally:
                loop.quit()

        self.qt.QTimer.singleShot(0, act)
        loop.exec()

    def click(self, button: Any) -> None:
        """Click like a user: only visible and enabled widgets can be clicked."""
        if not button.enabled or button.isHidden():
            raise AssertionError(f"nobody can click {button.objectName}: {button.toolTip}")
        self.run(button.click)

    def answer(self, button: str, seen: list[str] | None = None) -> None:
        """Press this button in the next message box; its texts are added to `seen`."""
        from . import pythonqt

        pythonqt.ANSWERS.append((button, [] if seen is None else seen))

    def choose(self, path: Any) -> None:
        """Choose this path in the next file dialog; "" cancels it."""
        from . import pythonqt

        pythonqt.PATHS.append(str(path))

    def opened(self) -> list[str]:
        """What other programs were asked to open since `forgetAnswers`."""
        from . import pythonqt

        return list(pythonqt.OPENED)

    def forgetAnswers(self) -> None:
        """Clear the prepared answers to dialogs."""
        from . import pythonqt

        for noted in (pythonqt.ANSWERS, pythonqt.PATHS, pythonqt.OPENED):
            noted.clear()

    def settle(self) -> None:
        """Run the event loop until the views of a new layout have their sizes."""
        manager = self.slicer.app.layoutManager()
        self.wait(lambda: manager is None or manager.isSettled)
        self.run(self.slicer.app.processEvents)

    def tip(self, widget: Any) -> str:
        """Return the tool tip of a widget as the user sees it."""
        return html.unescape(re.sub(r"<[^>]+>", "", widget.toolTip))

    def closeScene(self) -> None:
        """Close the scene like the menu File / Close Scene."""
        self.slicer.mrmlScene.Clear(0)
        self.slicer.app.processEvents()
