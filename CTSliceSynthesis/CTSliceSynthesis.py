"""The module as Slicer sees it: title, panel, logic and test. The work is done by CTSliceSynthesisLib and the engine."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

OWN_PACKAGES = ("CTSliceSynthesisLib", "CTSliceSynthesisEngine")


class CTSliceSynthesis(ScriptedLoadableModule):
    """What the module selector shows."""

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
        """Slicer is ready: offer the sample scans; mark synthesized slices, and put back compared views, in any scene."""
        from CTSliceSynthesisLib.Scene import SampleScans
        from CTSliceSynthesisLib.Views.SavedViews import SavedViews
        from CTSliceSynthesisLib.Views.SliceMarks import SliceMarks

        SampleScans.register()
        self.sliceMarks, self.savedViews = SliceMarks(), SavedViews()


class CTSliceSynthesisWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: builds its parts and hands them the parameter node of the scene."""

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
        self.ui = self.loaded("CTSliceSynthesis", self.layout)
        self.logic = CTSliceSynthesisLogic()
        room = self.ui.sections.layout()
        self.sections = {name: panel(self.loaded(name, room), self.logic) for name, panel in SECTIONS.items()}
        compare = self.sections["Compare"]
        self.increasePanel = IncreasePanel(self.ui, self.logic.session, compare.showResult)
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

    def loaded(self, name: str, layout):
        """The widgets of a .ui file by name, shown in a layout."""
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
        layout.addWidget(widget)
        self.loadedWidgets.append(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        return slicer.util.childWidgetVariables(widget)

    def cleanup(self) -> None:
        """Slicer exits, or the module is reloaded: what runs ends."""
        self.logic.cancel()
        self.logic.stopTraining()
        self.setParameterNode(None)
        for panel in self.panels:
            panel.cleanup()
        self.labels.cleanup()
        self.removeObservers()
        for widget in reversed(self.loadedWidgets):  # a reload would hide them alone, and they would hold all of this
            widget.setParent(None)
            widget.deleteLater()
        self.loadedWidgets.clear()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        """A run goes on while another module is shown. With none to come, Slicer quits, and remembers the layout."""
        self.setParameterNode(None)
        if slicer.util.mainWindow() is not None and not slicer.util.selectedModule():
            for panel in self.panels:
                panel.putViewsBack()

    def onReload(self) -> None:
        """Developers: reload the library and the engine with the module."""
        for name in [name for name in sys.modules if name.partition(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)

    def onSceneEnd(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Show the parameter node of the scene; choose the first scan if none is chosen."""
        from CTSliceSynthesisLib.Scene import Origin

        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameters.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            scans = [node for node in volumes if not Origin.isFigure(node)]
            if scans:
                self._parameters.inputVolume = scans[0]

    def setParameterNode(self, parameters) -> None:
        """Bind the panel to a parameter node; None lets go of it."""
        for tag in self._guiTags:
            self._parameters.disconnectGui(tag)
        self._parameters = parameters
        interfaces = [self.ui, *(panel.ui for panel in self.sections.values())] if parameters else []
        self._guiTags = [parameters.connectGui(ui) for ui in interfaces]
        for panel in self.panels:
            panel.bind(parameters)


class CTSliceSynthesisLogic(ScriptedLoadableModuleLogic):
    """The way in for scripts. It opens no window, and installs nothing.

    logic = CTSliceSynthesisLogic()
    thin = logic.increaseResolution(slicer.util.getNode("chest"), factor=4)
    """

    def __init__(self) -> None:
        from CTSliceSynthesisLib.Processes.Check import Check
        from CTSliceSynthesisLib.Processes.DicomExport import DicomExport
        from CTSliceSynthesisLib.Processes.Inspection import Inspection
        from CTSliceSynthesisLib.Processes.Training import Training
        from CTSliceSynthesisLib.Session import Session

        ScriptedLoadableModuleLogic.__init__(self)
        self.session, self.checking, self.training, self.inspection = Session(), Check(), Training(), Inspection()
        self.exporting = DicomExport()

    def getParameterNode(self):
        from CTSliceSynthesisLib.Parameters import ParameterNode

        return ParameterNode(super().getParameterNode())

    def plan(self, volumeNode, factor=None, **options):
        """What `increaseResolution` would do: grid, factor, memory.

        Args:
            volumeNode: the thick scan.
            factor, options: see CTSliceSynthesisLib.Parameters.Options.

        Raises:
            SynthesisError: it cannot be done; the message says why.
        """
        from CTSliceSynthesisLib.Parameters import Options
        from CTSliceSynthesisLib.Session import plan

        return plan(volumeNode, Options(factor=factor, **options))

    def increaseResolution(
        self,
        volumeNode,
        factor=None,
        outputNode=None,
        waitForCompletion=True,
        onProgress=None,
        onFinished=None,
        **options,
    ):
        """Make a volume with thinner slices.

        Args:
            volumeNode: the thick scan.
            factor: 2 to 8 times finer; spacing=... (mm) or isotropic=True instead; with none of them 2.
            outputNode: volume to replace; None makes a new one.
            waitForCompletion: return when it is done; else at once, and the callbacks tell.
            onProgress: called with a Progress (share 0 to 1, stage, remainingSeconds).
            onFinished: called once with the Outcome (status, sentence, log, output).
            options: see CTSliceSynthesisLib.Parameters.Options: method, model, device, sliceAxis, thickness, ...

        Returns:
            The new volume node; None without waitForCompletion.

        Raises:
            IncreaseError: it could not start; or, when waiting, it failed or was canceled. Nothing is left behind.
        """
        from CTSliceSynthesisLib.Parameters import Options

        chosen, told = Options(factor=factor, **options), onProgress or (lambda progress: None)
        return self.session.carryOut(
            lambda finished: self.session.start(volumeNode, chosen, outputNode, told, finished),
            onFinished,
            waitForCompletion,
        )

    def save(self, volumeNode, path) -> None:
        """Write a result as NRRD whose header says how it was made: method, model, SHA-256, factor, and that it is an estimate.

        Raises:
            SynthesisError: it is no NRRD file, or cannot be written.
        """
        from CTSliceSynthesisLib.Scene import VolumeNodes

        VolumeNodes.save(volumeNode, Path(path))

    def carrySegmentations(self, resultNode):
        """Copy segmentations and label maps of the scan to the slices of its result; the originals stay as they are.

        Shapes are interpolated between the scan's slices; segments keep names, colours and borders that they share. Markups
        lie in the patient and need no copy.

        Args:
            resultNode: made by `increaseResolution`, its scan in the scene.

        Returns:
            The new nodes.

        Raises:
            ValueError: there is nothing to carry, or the result is none; the message says why.
        """
        from CTSliceSynthesisLib.Scene import DrawnOnScan

        for problem in DrawnOnScan.problems(resultNode):
            raise ValueError(problem)
        return DrawnOnScan.carry(resultNode)

    def exportToDICOM(self, volumeNode, folder, waitForCompletion=True, onFinished=None, **options):
        """Write a result as a derived DICOM series, with patient and study of its scan's DICOM files.

        Args:
            volumeNode: a result, whose scan is in the scene.
            folder: to be made; it appears whole or not at all.
            waitForCompletion: return when it is done; else at once, and the callback tells.
            onFinished: called once with the Outcome.
            options: see CTSliceSynthesisLib.Processes.DicomExport.ExportOptions: patientID and patientName, which a scan
                without DICOM files needs; expectedError, disagreement, overwrite, ...

        Returns:
            The folder; None without waitForCompletion.

        Raises:
            TaskError: it could not start; or, when waiting, it failed or was canceled. Nothing is left behind.
        """
        from CTSliceSynthesisLib.Processes.DicomExport import ExportOptions

        chosen = ExportOptions(**options)
        return self.exporting.carryOut(
            lambda finished: self.exporting.start(volumeNode, folder, chosen, finished), onFinished, waitForCompletion
        )

    def increaseSequence(
        self, sequenceNode, factor=None, waitForCompletion=True, onProgress=None, onFinished=None, **options
    ):
        """Make a sequence of volumes with thinner slices, of a sequence of scans (4D CT).

        Args:
            sequenceNode: vtkMRMLSequenceNode of scalar volumes.
            factor, options: as in `increaseResolution`; what can be kept beside a result is made for single scans only.
            waitForCompletion, onProgress, onFinished: as in `increaseResolution`, for the whole.

        Returns:
            The new sequence node, with the same index values; None without waitForCompletion.

        Raises:
            IncreaseError: it could not start; or, when waiting, it failed or was canceled. Nothing is left behind.
        """
        from CTSliceSynthesisLib.Parameters import Options
        from CTSliceSynthesisLib.Sequences import SequenceRun

        chosen, told = Options(factor=factor, **options), onProgress or (lambda progress: None)
        return self.session.carryOut(
            lambda finished: SequenceRun(self.session).start(sequenceNode, chosen, told, finished),
            onFinished,
            waitForCompletion,
        )

    def check(self, volumeNode, model=None, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Measure a model on a scan: every other slice is left out, restored, and compared with what was acquired.

        Args:
            volumeNode: the scan.
            model: name of a model or weights file; None takes the default one.
            waitForCompletion: return when it is done; else at once, and the callbacks tell.
            onProgress: called with the share that is done, 0 to 1.
            onFinished: called once with the Outcome.
            options: device, sliceAxis and thickness, as in `increaseResolution`.

        Returns:
            A CTSliceSynthesisLib.Processes.Check.CheckResult; None without waitForCompletion.

        Raises:
            TaskError: it could not start; or, when waiting, it failed or was canceled.
        """
        from CTSliceSynthesisLib.Parameters import Options

        chosen = Options(**options, **({} if model is None else {"model": model}))
        told = onProgress or (lambda share: None)
        return self.checking.carryOut(
            lambda finished: self.checking.start(volumeNode, chosen, told, finished), onFinished, waitForCompletion
        )

    def train(self, folderOrVolumes, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Train a model on a folder of scans, or on volumes of the scene.

        Args:
            folderOrVolumes: path of the folder, or the volume nodes.
            waitForCompletion: return when it is done; else at once, and the callbacks tell.
            onProgress: called with the engine's events "progress", as dictionaries.
            onFinished: called once with the Outcome.
            options: see CTSliceSynthesisLib.Processes.Training.Training.train: name, recipe, minutes, steps, start, device, ...

        Returns:
            A CTSliceSynthesisLib.Processes.Training.Trained, whose name `increaseResolution` takes as model; None without
            waitForCompletion.

        Raises:
            TaskError: it could not start; or, when waiting, it failed, was stopped, or lost when it was measured.
        """
        told = onProgress or (lambda event: None)
        return self.training.carryOut(
            lambda finished: self.training.train(folderOrVolumes, onProgress=told, onFinished=finished, **options),
            onFinished,
            waitForCompletion,
        )

    def adapt(self, volumeNode, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Go on training a model for some minutes on one scan, for that scan.

        Args:
            volumeNode: the scan.
            waitForCompletion, onProgress, onFinished: as in `train`.
            options: see CTSliceSynthesisLib.Processes.Training.Training.adapt: minutes, start, device, thickness, ...

        Returns, Raises:
            As `train`.
        """
        told = onProgress or (lambda event: None)
        return self.training.carryOut(
            lambda finished: self.training.adapt(volumeNode, onProgress=told, onFinished=finished, **options),
            onFinished,
            waitForCompletion,
        )

    def addModel(self, path, waitForCompletion=True, onFinished=None):
        """Add a weights file to the models.

        Returns:
            The name of the model; None without waitForCompletion.

        Raises:
            TaskError: it is no such file, or the model lost when it was measured; nothing was added.
        """
        return self.inspection.carryOut(
            lambda finished: self.inspection.start(path, finished), onFinished, waitForCompletion
        )

    def cancel(self) -> None:
        """End the run, the check and the export that go on, if there are any."""
        self.session.cancel()
        self.checking.cancel()
        self.exporting.cancel()

    def stopTraining(self) -> None:
        """End the training that goes on, if there is one; it can be resumed."""
        self.training.cancel()


class CTSliceSynthesisTest(ScriptedLoadableModuleTest):
    """Runs in real Slicer too, without PyTorch and without a main window."""

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
    """A volume node: every `factor`-th slice of the bundled scan."""
    path = Path(__file__).parent / "Resources" / "SampleData" / "ts_body_1p5iso_crop.nrrd"
    thin = slicer.util.loadVolume(str(path))
    matrix = vtk.vtkMatrix4x4()
    thin.GetIJKToRASMatrix(matrix)
    for row in range(3):
        matrix.SetElement(row, 2, matrix.GetElement(row, 2) * factor)
    thick = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(thin)[::factor], matrix, "thick sample")
    slicer.mrmlScene.RemoveNode(thin)
    return thick
