"""Process every frame of a sequence (4D CT) in turn, into a new sequence.

frames of the sequence -> session, session, session ... -> frames of a new sequence, which is added only when complete
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import slicer
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.synthesis.plan import available_memory, check_memory
from slicer.i18n import tr as _

from . import Messages, Session
from .Parameters import Options
from .Processes.Outcome import FAILED, SUCCEEDED, Outcome
from .Processes.Progress import Progress
from .Processes.Run import IncreaseError, resultName
from .Scene import Origin, VolumeNodes
from .Scene.SequenceNodes import framesOf, indexedAs, proxyOf, show


def problems(sequence, options: Options) -> list[str]:
    """Return the reasons why a sequence cannot be processed, as messages for the user; empty if there are none."""
    frames = framesOf(sequence)
    if not frames:
        return [_("The sequence “{name}” holds no frames.").format(name=sequence.GetName())]
    if sequence.GetDataNodeClassName() != "vtkMRMLScalarVolumeNode":
        return [_("“{name}” is not a sequence of volumes of single values.").format(name=sequence.GetName())]
    proxy, needed = proxyOf(sequence), 0
    if proxy is not None and VolumeNodes.hasNonlinearTransform(proxy):
        return VolumeNodes.problems(proxy)
    for number, frame in enumerate(frames, start=1):
        reasons = Session.problems(frame, options)
        if reasons:
            return [numbered(number, len(frames), reasons[0])]
        plan = Session.plan(frame, options)
        try:
            check_memory(replace(plan, memory_bytes=plan.memory_bytes + needed), available_memory())
        except SynthesisError as error:
            return [numbered(number, len(frames), Messages.ofError(error))]
        needed += Session.bytesOnDisk(frame, plan)  # finished frames stay in memory
    return []


def numbered(number: int, count: int, sentence: str) -> str:
    return _("Frame {number} of {count}: {sentence}").format(number=number, count=count, sentence=sentence)


class SequenceRun:
    """Processes one sequence at a time. The session is busy meanwhile; canceling the session cancels the sequence.

    Args:
        session: processes the frames.
    """

    def __init__(self, session: Session.Session) -> None:
        self._session = session

    def start(
        self,
        sequence,
        options: Options,
        onProgress: Callable[[Progress], None] = lambda progress: None,
        onFinished: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Start with the first frame. Unless this raises, `onFinished` is called exactly once, with the sequence or the reason.

        Args:
            sequence: its frames are volumes.
            options: options of each frame; expectedError and disagreement are ignored.
            onProgress: called with the progress of the whole sequence.

        Raises:
            IncreaseError: the run cannot start; nothing has changed.
        """
        plain = replace(options, disagreement=False, expectedError=False)
        reasons = [] if self._session.isRunning else problems(sequence, plain)
        if reasons:
            raise IncreaseError(Outcome(FAILED, reasons[0]))
        run = FramesInProgress(self._session, sequence, plain, onProgress, onFinished)
        run.next()


class FramesInProgress:
    """State of a sequence that is being processed: finished frames, remarks and callbacks."""

    def __init__(self, session: Session.Session, sequence, options: Options, onProgress, onFinished) -> None:
        self._session, self._source, self._options = session, sequence, options
        self._onProgress, self._onFinished = onProgress, onFinished
        self._frames = framesOf(sequence)
        self._values = [sequence.GetNthIndexValue(index) for index in range(len(self._frames))]
        self._remarks: tuple[str, ...] = ()
        self._seconds = 0.0
        self._result = indexedAs(sequence)
        name = resultName(sequence.GetName(), Session.plan(self._frames[0], options))
        self._result.SetName(slicer.mrmlScene.GenerateUniqueName(name))

    @property
    def _done(self) -> int:
        return self._result.GetNumberOfDataNodes()

    def next(self) -> None:
        """Start the next frame."""
        frame, target = self._frames[self._done], slicer.vtkMRMLScalarVolumeNode()
        target.SetName(frame.GetName())
        self._session.start(
            frame, self._options, target, self._progressed, lambda outcome: self._frameFinished(outcome, target)
        )

    def _progressed(self, progress: Progress) -> None:
        count, done = len(self._frames), self._done
        left = progress.remainingSeconds
        average = self._seconds / done if done else left
        if left is not None and average is not None:
            left += average * (count - done - 1)
        self._onProgress(Progress((done + progress.share) / count, numbered(done + 1, count, progress.stage), left))

    def _frameFinished(self, outcome: Outcome, target) -> None:
        self._seconds += outcome.seconds
        self._remarks = tuple(dict.fromkeys((*self._remarks, *outcome.remarks)))
        if outcome.status != SUCCEEDED:
            self._end(replace(outcome, sentence=numbered(self._done + 1, len(self._frames), outcome.sentence)))
            return
        self._result.SetDataNodeAtValue(target, self._values[self._done])
        if self._done == len(self._frames):
            self._end(self._addToScene())
            return
        try:
            self.next()
        except IncreaseError as error:  # e.g. the disk has filled up meanwhile
            self._end(replace(error.outcome, sentence=numbered(self._done + 1, len(self._frames), str(error))))

    def _end(self, outcome: Outcome) -> None:
        self._onFinished(replace(outcome, seconds=self._seconds, remarks=self._remarks))

    def _addToScene(self) -> Outcome:
        """Add the finished sequence to the scene, synchronized with its source sequence."""
        Origin.describe(self._result, Origin.factsOf(self._result.GetNthDataNode(0)))
        sequence = slicer.mrmlScene.AddNode(self._result)
        show(sequence, self._source)
        sentence = _("“{name}” is ready: {count} frames.").format(name=sequence.GetName(), count=len(self._frames))
        return Outcome(SUCCEEDED, sentence, output=sequence)
