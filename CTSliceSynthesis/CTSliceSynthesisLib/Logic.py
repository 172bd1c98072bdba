"""Scripting interface: methods that start a run, a check, a training or an export, and optionally wait for it.

The rest of the library is imported on demand, to keep Slicer's startup fast.
"""

from __future__ import annotations

from pathlib import Path

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


class CTSliceSynthesisLogic(ScriptedLoadableModuleLogic):
    """Scripting interface of the module. It opens no windows and installs nothing.

    logic = CTSliceSynthesisLogic()
    thin = logic.increaseResolution(slicer.util.getNode("chest"), factor=4)
    """

    def __init__(self) -> None:
        from .Processes.Check import Check
        from .Processes.DicomExport import DicomExport
        from .Processes.Inspection import Inspection
        from .Processes.LabelTransfer import LabelTransfer
        from .Processes.Training import Training
        from .Session import Session

        ScriptedLoadableModuleLogic.__init__(self)
        self.session, self.checking, self.training, self.inspection = Session(), Check(), Training(), Inspection()
        self.exporting, self.transfer = DicomExport(), LabelTransfer()

    def getParameterNode(self):
        from .Parameters import ParameterNode

        return ParameterNode(super().getParameterNode())

    def plan(self, volumeNode, factor=None, **options):
        """Return what `increaseResolution` would do: grid, factor, memory.

        Args:
            volumeNode: the thick scan.
            factor, options: see CTSliceSynthesisLib.Parameters.Options.

        Raises:
            SynthesisError: it is not possible; the message gives the reason.
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
        """Create a volume with thinner slices.

        Args:
            volumeNode: the thick scan.
            factor: upsampling factor, 2 to 8; alternatives are spacing=... (mm) and isotropic=True; 2 if none is given.
            outputNode: volume to replace; None creates a new one.
            waitForCompletion: block until the run ends; otherwise return immediately and report through the callbacks.
            onProgress: called with a Progress (share 0 to 1, stage, remainingSeconds).
            onFinished: called exactly once with the Outcome (status, sentence, log, output).
            options: see CTSliceSynthesisLib.Parameters.Options: method, model, device, sliceAxis, thickness, ...

        Returns:
            The new volume node; None without waitForCompletion.

        Raises:
            IncreaseError: the run could not start, or (when waiting) it failed or was canceled. Nothing is left behind.
        """
        from .Parameters import Options

        runOptions, report = Options(factor=factor, **options), onProgress or (lambda progress: None)
        return self.session.carryOut(
            lambda finished: self.session.start(volumeNode, runOptions, outputNode, report, finished),
            onFinished,
            waitForCompletion,
        )

    def save(self, volumeNode, path) -> None:
        """Write a result as NRRD with its provenance in the header: method, model, SHA-256, factor, and that it is an estimate.

        Raises:
            SynthesisError: `path` is not an NRRD file name, or cannot be written.
        """
        from .Scene import VolumeNodes

        VolumeNodes.save(volumeNode, Path(path))

    def transferSegmentations(self, resultNode, waitForCompletion=True, onProgress=None, onFinished=None):
        """Copy segmentations and label maps of the scan to the grid of its result; the originals are unchanged.

        Shapes are interpolated between the scan's slices; segments keep their names, colors and shared borders. Markups are
        defined in patient coordinates and need no copy.

        Args:
            resultNode: created by `increaseResolution`; its scan must be in the scene.
            waitForCompletion: block until the transfer ends; otherwise return immediately and report through the callbacks.
            onProgress: called with the fraction completed, 0 to 1.
            onFinished: called exactly once with the Outcome.

        Returns:
            The new nodes; None without waitForCompletion.

        Raises:
            TaskError: the transfer could not start, for example because there is nothing to copy, or (when waiting) it failed
                or was canceled. Nothing is left behind.
        """
        report = onProgress or (lambda share: None)
        return self.transfer.carryOut(
            lambda finished: self.transfer.start(resultNode, report, finished), onFinished, waitForCompletion
        )

    def exportToDICOM(self, volumeNode, folder, waitForCompletion=True, onFinished=None, **options):
        """Write a result as a derived DICOM series, with patient and study taken from its scan's DICOM files.

        Args:
            volumeNode: a result whose scan is in the scene.
            folder: new folder; it is created atomically.
            waitForCompletion: block until the export ends; otherwise return immediately and report through the callback.
            onFinished: called exactly once with the Outcome.
            options: see CTSliceSynthesisLib.Processes.DicomExport.ExportOptions: patientID and patientName (required
                for a scan without DICOM files), expectedError, disagreement, overwrite, ...

        Returns:
            The folder; None without waitForCompletion.

        Raises:
            TaskError: the export could not start, or (when waiting) it failed or was canceled. Nothing is left behind.
        """
        from .Processes.DicomExport import ExportOptions

        runOptions = ExportOptions(**options)
        return self.exporting.carryOut(
            lambda finished: self.exporting.start(volumeNode, folder, runOptions, finished),
            onFinished,
            waitForCompletion,
        )

    def increaseSequence(
        self, sequenceNode, factor=None, waitForCompletion=True, onProgress=None, onFinished=None, **options
    ):
        """Create a sequence of volumes with thinner slices from a sequence of scans (4D CT).

        Args:
            sequenceNode: vtkMRMLSequenceNode of scalar volumes.
            factor, options: as in `increaseResolution`; expectedError and disagreement are ignored.
            waitForCompletion, onProgress, onFinished: as in `increaseResolution`, for the whole sequence.

        Returns:
            The new sequence node, with the same index values; None without waitForCompletion.

        Raises:
            IncreaseError: the run could not start, or (when waiting) it failed or was canceled. Nothing is left behind.
        """
        from .Parameters import Options
        from .Sequences import SequenceRun

        runOptions, report = Options(factor=factor, **options), onProgress or (lambda progress: None)
        return self.session.carryOut(
            lambda finished: SequenceRun(self.session).start(sequenceNode, runOptions, report, finished),
            onFinished,
            waitForCompletion,
        )

    def check(self, volumeNode, model=None, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Evaluate a model on a scan: every other slice is left out, synthesized, and compared with the acquired one.

        Args:
            volumeNode: the scan.
            model: name of a model or weights file; None selects the default model.
            waitForCompletion: block until the check ends; otherwise return immediately and report through the callbacks.
            onProgress: called with the fraction completed, 0 to 1.
            onFinished: called exactly once with the Outcome.
            options: device, sliceAxis and thickness, as in `increaseResolution`.

        Returns:
            A CTSliceSynthesisLib.Processes.Check.CheckResult; None without waitForCompletion.

        Raises:
            TaskError: the check could not start, or (when waiting) it failed or was canceled.
        """
        from .Parameters import Options

        runOptions = Options(**options, **({} if model is None else {"model": model}))
        report = onProgress or (lambda share: None)
        return self.checking.carryOut(
            lambda finished: self.checking.start(volumeNode, runOptions, report, finished),
            onFinished,
            waitForCompletion,
        )

    def train(self, folderOrVolumes, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Train a model on a folder of scans, or on volumes of the scene.

        Args:
            folderOrVolumes: path of the folder, or the volume nodes.
            waitForCompletion: block until training ends; otherwise return immediately and report through the callbacks.
            onProgress: called with the engine's "progress" events, as dictionaries.
            onFinished: called exactly once with the Outcome.
            options: see CTSliceSynthesisLib.Processes.Training.Training.train: name, recipe, minutes, steps, start, device, ...

        Returns:
            A CTSliceSynthesisLib.Processes.Training.Trained; its name can be passed to `increaseResolution` as model. None
            without waitForCompletion.

        Raises:
            TaskError: the training could not start, or (when waiting) it failed, was stopped, or the model did not beat the
                classical methods.
        """
        report = onProgress or (lambda event: None)
        return self.training.carryOut(
            lambda finished: self.training.train(folderOrVolumes, onProgress=report, onFinished=finished, **options),
            onFinished,
            waitForCompletion,
        )

    def adapt(self, volumeNode, waitForCompletion=True, onProgress=None, onFinished=None, **options):
        """Fine-tune a model on one scan for a few minutes, for use on that scan.

        Args:
            volumeNode: the scan.
            waitForCompletion, onProgress, onFinished: as in `train`.
            options: see CTSliceSynthesisLib.Processes.Training.Training.adapt: minutes, start, device, thickness, ...

        Returns, Raises:
            See `train`.
        """
        report = onProgress or (lambda event: None)
        return self.training.carryOut(
            lambda finished: self.training.adapt(volumeNode, onProgress=report, onFinished=finished, **options),
            onFinished,
            waitForCompletion,
        )

    def addModel(self, path, waitForCompletion=True, onFinished=None):
        """Add a weights file to the models.

        Returns:
            The name of the model; None without waitForCompletion.

        Raises:
            TaskError: it is not a weights file, or the model did not pass its validation; nothing was added.
        """
        return self.inspection.carryOut(
            lambda finished: self.inspection.start(path, finished), onFinished, waitForCompletion
        )

    def cancel(self) -> None:
        """Cancel the current run, check, export and transfer, if any."""
        self.session.cancel()
        self.checking.cancel()
        self.exporting.cancel()
        self.transfer.cancel()

    def stopTraining(self) -> None:
        """Stop the current training, if any; it can be resumed."""
        self.training.cancel()
