"""The way in for scripts: every method starts a run, a check, a training or an export, and waits for it if asked.

It imports the rest of the Lib when it is needed, so that Slicer starts no slower.
"""

from __future__ import annotations

from pathlib import Path

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


class CTSliceSynthesisLogic(ScriptedLoadableModuleLogic):
    """The way in for scripts. It opens no window, and installs nothing.

    logic = CTSliceSynthesisLogic()
    thin = logic.increaseResolution(slicer.util.getNode("chest"), factor=4)
    """

    def __init__(self) -> None:
        from .Processes.Check import Check
        from .Processes.DicomExport import DicomExport
        from .Processes.Inspection import Inspection
        from .Processes.Training import Training
        from .Session import Session

        ScriptedLoadableModuleLogic.__init__(self)
        self.session, self.checking, self.training, self.inspection = Session(), Check(), Training(), Inspection()
        self.exporting = DicomExport()

    def getParameterNode(self):
        from .Parameters import ParameterNode

        return ParameterNode(super().getParameterNode())

    def plan(self, volumeNode, factor=None, **options):
        """What `increaseResolution` would do: grid, factor, memory.

        Args:
            volumeNode: the thick scan.
            factor, options: see CTSliceSynthesisLib.Parameters.Options.

        Raises:
            SynthesisError: it cannot be done; the message says why.
        """
        from .Parameters import Options
        from .Session import plan

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
        from .Parameters import Options

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
        from .Scene import VolumeNodes

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
        from .Scene import DrawnOnScan

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
        from .Processes.DicomExport import ExportOptions

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
        from .Parameters import Options
        from .Sequences import SequenceRun

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
        from .Parameters import Options

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
