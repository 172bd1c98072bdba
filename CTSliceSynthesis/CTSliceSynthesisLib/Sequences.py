"""Every frame of a sequence (4D CT) through the same session, one after the other, into a new sequence.

frames of the sequence -> session, session, session ... -> frames of a new sequence, which appears whole or not at all
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
    """Why a sequence cannot be worked on, in the user's words; empty when it can."""
    frames = framesOf(sequence)
    if not frames:
        return [_("The sequence “{name}” holds no frames.").format(name=sequence.GetName())]
    if sequence.GetDataNodeClassName() != "vtkMRMLScalarVolumeNode":
        return [_("“{name}” is not a sequence of volumes of single values.").format(name=sequence.GetName())]
    proxy, needed = proxyOf(sequence), 0
    if proxy is not None and VolumeNodes.hasNonlinearTransform(proxy):
        return VolumeNodes.problems(proxy)
    for number, frame in enumerate(frames, start=1):
        found = Session.problems(frame, options)
        if found:
            return [numbered(number, len(frames), found[0])]
        decided = Session.plan(frame, options)
        try:
            check_memory(replace(decided, memory_bytes=decided.memory_bytes + needed), available_memory())
        except SynthesisError as error:
            return [numbered(number, len(frames), Messages.ofError(error))]
        needed += Session.bytesOnDisk(frame, decided)  # finished frames stay in memory
    return []


def numbered(number: int, count: int, sentence: str) -> str:
    return _("Frame {number} of {count}: {sentence}").format(number=number, count=count, sentence=sentence)


class SequenceRun:
    """One sequence at a time. While it goes on, the session is busy; canceling the session cancels it.

    Args:
        session: does the work.
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
        """Start with the first frame; `onFinished` is called once, with the new sequence or the reason, unless this raises.

        Args:
            sequence: its frames are volumes.
            options: for each frame; the volumes that can be kept beside a result are made for single scans only.
            onProgress: told how far the whole is.

        Raises:
            IncreaseError: it cannot start; nothing has changed.
        """
        plain = replace(options, disagreement=False, expectedError=False)
        found = [] if self._session.isRunning else problems(sequence, plain)
        if found:
            raise IncreaseError(Outcome(FAILED, found[0]))
        work = Work(self._session, sequence, plain, onProgress, onFinished)
        work.next()


class Work:
    """A sequence in the making: what is done of it, and what is told of it."""

    def __init__(self, session: Session.Session, sequence, options: Options, onProgress, onFinished) -> None:
        self._session, self._source, self._options = session, sequence, options
        self._onProgress, self._onFinished = onProgress, onFinished
        self._frames = framesOf(sequence)
        self._values = [sequence.GetNthIndexValue(index) for index in range(len(self._frames))]
        self._remarks: tuple[str, ...] = ()
        self._seconds = 0.0
        self._made = indexedAs(sequence)
        name = resultName(sequence.GetName(), Session.plan(self._frames[0], options))
        self._made.SetName(slicer.mrmlScene.GenerateUniqueName(name))

    @property
    def _done(self) -> int:
        return self._made.GetNumberOfDataNodes()

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
        self._made.SetDataNodeAtValue(target, self._values[self._done])
        if self._done == len(self._frames):
            self._end(self._shown())
            return
        try:
            self.next()
        except IncreaseError as error:  # for example, the disk has run full since
            self._end(replace(error.outcome, sentence=numbered(self._done + 1, len(self._frames), str(error))))

    def _end(self, outcome: Outcome) -> None:
        self._onFinished(replace(outcome, seconds=self._seconds, remarks=self._remarks))

    def _shown(self) -> Outcome:
        """Put the finished sequence into the scene, played together with the one it was made from."""
        Origin.describe(self._made, Origin.factsOf(self._made.GetNthDataNode(0)))
        made = slicer.mrmlScene.AddNode(self._made)
        show(made, self._source)
        sentence = _("“{name}” is ready: {count} frames.").format(name=made.GetName(), count=len(self._frames))
        return Outcome(SUCCEEDED, sentence, output=made)
