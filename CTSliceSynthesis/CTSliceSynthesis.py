"""Slicer entry point of the module: title, panel, logic and self-test. CTSliceSynthesisLib and the engine do the work."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
import vtk
from CTSliceSynthesisLib.Logic import CTSliceSynthesisLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

OWN_PACKAGES = ("CTSliceSynthesisLib", "CTSliceSynthesisEngine")


class CTSliceSynthesis(ScriptedLoadableModule):
    """Module metadata shown in the module selector."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("CT Slice Synthesis")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        parent.dependencies = []
        parent.contributors = ["The CTSliceSynthesis developers"]
        parent.helpText = _(
            "Turns thick CT slices into thin ones: choose a scan and a resolution, and press the button. The slices that were"
            " acquired stay as they are; those between them are estimates, for research use."
        )
        parent.acknowledgementText = _(
            "The idea of three views that teach each other follows Fang et al., Incremental Cross-view Mutual Distillation for"
            " Self-supervised Medical CT Synthesis, CVPR 2022."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self) -> None:
        """Register the sample scans, and start marking synthesized slices and restoring views of saved comparisons."""
        from CTSliceSynthesisLib.Scene import SampleScans
        from CTSliceSynthesisLib.Views.SavedViews import SavedViews
        from CTSliceSynthesisLib.Views.SliceMarks import SliceMarks

        SampleScans.register()
        self.sliceMarks, self.savedViews = SliceMarks(), SavedViews()


class CTSliceSynthesisWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Module panel: builds its sections and binds them to the parameter node of the scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.loadedWidgets = []
        self._parameters = None
        self._guiTags = []

    def setup(self) -> None:
        from CTSliceSynthesisLib.Widgets.AdvancedPanel import AdvancedPanel
        from CTSliceSynthesisLib.Widgets.IncreasePanel import IncreasePanel
        from CTSliceSynthesisLib.Widgets.Labels import Labels
        from CTSliceSynthesisLib.Widgets.Sections import SECTIONS
        from CTSliceSynthesisLib.Widgets.Selectors import Selectors

        ScriptedLoadableModuleWidget.setup(self)
        self.ui = self.loadUi("CTSliceSynthesis", self.layout)
        self.logic = CTSliceSynthesisLogic()
        sectionLayout = self.ui.sections.layout()
        self.sections = {name: panel(self.loadUi(name, sectionLayout), self.logic) for name, panel in SECTIONS.items()}
        compare = self.sections["Compare"]
        self.increasePanel = IncreasePanel(self.ui, self.logic, compare.showResult)
        self.advancedPanel = AdvancedPanel(self.ui, self.increasePanel.refresh)
        self.sections["Train"].increase = self.increasePanel.onButton
        self.sections["Check"].isSaid = self.increasePanel.says
        parts = [self.ui, *(panel.ui for panel in self.sections.values())]
        self.labels = Labels(widget for part in parts for widget in vars(part).values())
        selectors = Selectors(
            (
                *(self.ui.inputSelector, self.ui.outputSelector, compare.ui.beforeSelector, compare.ui.afterSelector),
                self.sections["Export"].ui.exportSelector,
            )
        )
        self.panels = [selectors, self.advancedPanel, self.increasePanel, *self.sections.values()]
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEnd)
        self.initializeParameterNode()

    def loadUi(self, name: str, layout):
        """Load a .ui file, add it to `layout`, and return its widgets by name."""
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
        layout.addWidget(widget)
        self.loadedWidgets.append(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        return slicer.util.childWidgetVariables(widget)

    def cleanup(self) -> None:
        """Stop all tasks and release all widgets, when Slicer exits or the module is reloaded."""
        self.logic.cancel()
        self.logic.stopTraining()
        self.setParameterNode(None)
        for panel in self.panels:
            panel.cleanup()
        self.labels.cleanup()
        self.removeObservers()
        for widget in reversed(self.loadedWidgets):  # a reload only hides them, and they would keep this object alive
            widget.setParent(None)
            widget.deleteLater()
        self.loadedWidgets.clear()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        """Unbind the panel; runs continue. If no module follows, Slicer is quitting: restore the layout that it will save."""
        self.setParameterNode(None)
        if slicer.util.mainWindow() is not None and not slicer.util.selectedModule():
            for panel in self.panels:
                panel.putViewsBack()

    def onReload(self) -> None:
        """Reload the library and the engine together with the module (for developers)."""
        for name in [name for name in sys.modules if name.partition(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)

    def onSceneEnd(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Bind the panel to the parameter node of the scene, and select the first scan if none is selected."""
        from CTSliceSynthesisLib.Scene import Origin

        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameters.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            scans = [node for node in volumes if not Origin.isFigure(node)]
            if scans:
                self._parameters.inputVolume = scans[0]

    def setParameterNode(self, parameters) -> None:
        """Bind the panel to a parameter node; None unbinds it."""
        for tag in self._guiTags:
            self._parameters.disconnectGui(tag)
        self._parameters = parameters
        interfaces = [self.ui, *(panel.ui for panel in self.sections.values())] if parameters else []
        self._guiTags = [parameters.connectGui(ui) for ui in interfaces]
        for panel in self.panels:
            panel.bind(parameters)


class CTSliceSynthesisTest(ScriptedLoadableModuleTest):
    """Self-test; needs neither PyTorch nor a main window."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_acquired_slices_stay()

    def test_acquired_slices_stay(self) -> None:
        thick = thickSample(4)
        thin = CTSliceSynthesisLogic().increaseResolution(thick, factor=4, method="cubic")
        before, after = slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)
        self.assertEqual(after.shape[0], (before.shape[0] - 1) * 4 + 1)
        self.assertEqual(after.dtype, before.dtype)
        self.assertTrue((after[::4] == before).all())


def thickSample(factor: int):
    """Return a volume node with every `factor`-th slice of the bundled scan."""
    path = Path(__file__).parent / "Resources" / "SampleData" / "ts_body_1p5iso_crop.nrrd"
    thin = slicer.util.loadVolume(str(path))
    matrix = vtk.vtkMatrix4x4()
    thin.GetIJKToRASMatrix(matrix)
    for row in range(3):
        matrix.SetElement(row, 2, matrix.GetElement(row, 2) * factor)
    thick = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(thin)[::factor], matrix, "thick sample")
    slicer.mrmlScene.RemoveNode(thin)
    return thick
