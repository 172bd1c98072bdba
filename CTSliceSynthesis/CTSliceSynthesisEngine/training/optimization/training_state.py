"""The state of a run: all it needs to go on after any interruption, written whole or not at all."""

from __future__ import annotations

import copy
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from ...errors import SynthesisError
from ...whole_file import write_whole

_VERSION = 3

_PLAIN = (
    "steps",
    "seconds",
    "waited",
    "setbacks",
    "rate_scale",
    "exams",
    "means",
    "curve",
    "best_gain",
    "best",
    "precision",
)


@dataclass
class State:
    """All that a run needs to go on. What a step draws depends on its number alone, so no generator is kept.

    Attributes:
        networks, optimizer: as they are now.
        identity: what the run is: another one must not go on from this state.
        steps, seconds: made and spent so far, over every start.
        waited: seconds of them spent waiting for crops.
        setbacks: how often the loss exploded.
        rate_scale: factor of the learning rates, lowered by each setback.
        exams: number of the last score of the held-out scans; 0 is that of the first weights.
        means: running means of the losses.
        curve: figures over the run: every loss, and the gain where it was scored.
        best_gain, best: the best score so far in dB, and the weights that had it.
        precision: what convolutions are computed in, chosen at the first start; another would end elsewhere.
    """

    networks: nn.ModuleDict
    optimizer: torch.optim.Optimizer
    identity: dict[str, Any]
    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    setbacks: int = 0
    rate_scale: float = 1.0
    exams: int = -1
    means: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    best_gain: float | None = None
    best: dict[str, Tensor] | None = None
    precision: str | None = None

    def content(self) -> dict[str, Any]:
        """Everything as tensors and plain values; the tensors are the run's own."""
        kept = {name: getattr(self, name) for name in _PLAIN}
        weights, moments = self.networks.state_dict(), self.optimizer.state_dict()
        return {"version": _VERSION, "identity": self.identity, "networks": weights, "optimizer": moments, **kept}

    def snapshot(self) -> dict[str, Any]:
        """A copy of `content` that later steps do not change."""
        return copy.deepcopy(self.content())

    def restore(self, content: dict[str, Any]) -> None:
        """Go back, or on, to what `content` or `snapshot` gave."""
        self.networks.load_state_dict(content["networks"])
        self.optimizer.load_state_dict(copy.deepcopy(content["optimizer"]))
        for name in _PLAIN:
            setattr(self, name, copy.deepcopy(content[name]))

    def save(self, path: Path) -> None:
        """Write the state whole or not at all.

        Raises:
            SynthesisError: "cannot-write", for a full disk; the state that was there stays.
        """
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        write_whole(buffer.getvalue(), path)

    def load(self, stored: bytes, path: Path) -> None:
        """Go on from a state written by `save`.

        Args:
            stored: content of the file.
            path: of the file, for a sentence.

        Raises:
            SynthesisError: "bad-model" for a damaged file, or the state of another run.
        """
        try:
            content = torch.load(io.BytesIO(stored), map_location="cpu", weights_only=True)
            found, version = content["identity"], content["version"]
        except Exception as error:  # torch raises many kinds for a damaged or foreign file
            raise _unusable(path, "is damaged, or no state of a training") from error
        different = [name for name in self.identity if found.get(name) != self.identity[name]]
        if version != _VERSION or different:
            raise _unusable(path, f"belongs to another run (other {', '.join(different) or 'version'})")
        try:
            self.restore(content)
        except Exception as error:  # as above
            raise _unusable(path, "does not fit its networks") from error


def _unusable(path: Path, reason: str) -> SynthesisError:
    message = f"Training cannot resume from {path}, which {reason}"
    return SynthesisError("bad-model", f"{message}: give the options it was started with, or remove it to start over.")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other trainer away from one output. The system frees the lock of a process that dies.

    Args:
        path: a file of no content; it is made, and goes away at the end.

    Raises:
        SynthesisError: "cannot-write" if another process holds the lock, or the folder refuses the file.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        message = f"The file {path} cannot be written ({error.strerror})"
        raise SynthesisError("cannot-write", f"{message}: choose another place for the model.") from error
    with file:
        if not (_taken(file) and _is_still(path, file)):
            message = f"Another training writes to {path.with_suffix('')} at this moment"
            raise SynthesisError("cannot-write", f"{message}: wait for it, or choose another output.")
        try:
            yield
        finally:
            _removed(path)


def _taken(file: IO[bytes]) -> bool:
    """Take the lock of an open file; False if another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_still(path: Path, file: IO[bytes]) -> bool:
    """False if a trainer that ended in between has taken the file away: then this lock guards nothing."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _removed(path: Path) -> None:
    """Take the file away; where that is not allowed while it is open, it stays, empty and unlocked."""
    try:
        path.unlink()
    except OSError:
        return
