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


class CTSliceSynthesisWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: builds its parts and hands them the parameter node of the scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameters = None
        self._guiTag = None

    def setup(self) -> None:
        from CTSliceSynthesisLib.Widgets.AdvancedPanel import AdvancedPanel
        from CTSliceSynthesisLib.Widgets.IncreasePanel import IncreasePanel

        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/CTSliceSynthesis.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = CTSliceSynthesisLogic()
        self.increasePanel = IncreasePanel(self.ui, self.logic.session)
        self.advancedPanel = AdvancedPanel(self.ui, self.increasePanel.refresh)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEnd)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Slicer exits, or the module is reloaded: what runs ends."""
        self.logic.cancel()
        self.setParameterNode(None)
        for observer in (self, self.increasePanel, self.advancedPanel):
            observer.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        """A run goes on while another module is shown."""
        self.setParameterNode(None)

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
        """Show the parameter node of the scene; choose the first volume if none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameters.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first:
                self._parameters.inputVolume = first

    def setParameterNode(self, parameters) -> None:
        """Bind the panel to a parameter node; None lets go of it."""
        if self._parameters:
            self._parameters.disconnectGui(self._guiTag)
        self._parameters = parameters
        if parameters:
            self._guiTag = parameters.connectGui(self.ui)
        self.advancedPanel.bind(parameters)
        self.increasePanel.bind(parameters)


class CTSliceSynthesisLogic(ScriptedLoadableModuleLogic):
    """The way in for scripts. It opens no window, and installs nothing.

    logic = CTSliceSynthesisLogic()
    thin = logic.increaseResolution(slicer.util.getNode("chest"), factor=4)
    """

    def __init__(self) -> None:
        from CTSliceSynthesisLib.Session import Session

        ScriptedLoadableModuleLogic.__init__(self)
        self.session = Session()

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
        from CTSliceSynthesisLib.Run import SUCCEEDED, IncreaseError

        outcomes = []

        def finished(outcome):
            outcomes.append(outcome)
            if onFinished:
                onFinished(outcome)

        chosen = Options(factor=factor, **options)
        self.session.start(volumeNode, chosen, outputNode, onProgress or (lambda progress: None), finished)
        if not waitForCompletion:
            return None
        self.session.wait()
        if outcomes[0].status != SUCCEEDED:
            raise IncreaseError(outcomes[0])
        return outcomes[0].output

    def cancel(self) -> None:
        """End the run that goes on, if there is one."""
        self.session.cancel()


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
