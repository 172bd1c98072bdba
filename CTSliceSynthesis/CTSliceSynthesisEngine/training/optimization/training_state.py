"""State of a training run: everything needed to resume after an interruption; written atomically."""

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
    """Everything needed to resume. The random draws of a step depend only on its number, so no generator state is stored.

    Attributes:
        networks, optimizer: current networks and optimizer.
        identity: identity of the run; a different run must not resume from this state.
        steps, seconds: totals so far, over all starts.
        waited: seconds of those spent waiting for crops.
        setbacks: number of times the loss exploded.
        rate_scale: factor of the learning rates, lowered by each setback.
        exams: number of the last validation; 0 is that of the initial weights.
        means: running means of the losses.
        curve: metrics over the run: losses, and the gain at each validation.
        best_gain, best: best validation gain so far in dB, and its weights.
        precision: precision of convolutions, chosen at the first start; another one would change the result.
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
        """Return the state as tensors and plain values; tensors are not copied."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        weights, moments = self.networks.state_dict(), self.optimizer.state_dict()
        return {"version": _VERSION, "identity": self.identity, "networks": weights, "optimizer": moments, **plain}

    def snapshot(self) -> dict[str, Any]:
        """Return a deep copy of `content`."""
        return copy.deepcopy(self.content())

    def restore(self, content: dict[str, Any]) -> None:
        """Restore a state returned by `content` or `snapshot`."""
        self.networks.load_state_dict(content["networks"])
        self.optimizer.load_state_dict(copy.deepcopy(content["optimizer"]))
        for name in _PLAIN:
            setattr(self, name, copy.deepcopy(content[name]))

    def save(self, path: Path) -> None:
        """Write the state atomically.

        Raises:
            SynthesisError: "cannot-write", e.g. if the disk is full; the previous state is kept.
        """
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        write_whole(buffer.getvalue(), path)

    def load(self, stored: bytes, path: Path) -> None:
        """Restore a state written by `save`.

        Args:
            stored: content of the file.
            path: path of the file, for error messages.

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
    """Lock one output against other training processes. The system releases the lock of a process that dies.

    Args:
        path: empty lock file; created, and removed at the end.

    Raises:
        SynthesisError: "cannot-write" if another process holds the lock, or the file cannot be created.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        message = f"The file {path} cannot be written ({error.strerror})"
        raise SynthesisError("cannot-write", f"{message}: choose another place for the model.") from error
    with file:
        if not (_acquire_lock(file) and _is_still(path, file)):
            message = f"Another training is writing to {path.with_suffix('')}"
            raise SynthesisError("cannot-write", f"{message}: wait for it, or choose another output.")
        try:
            yield
        finally:
            _remove(path)


def _acquire_lock(file: IO[bytes]) -> bool:
    """Acquire the lock of an open file; return False if another process has it."""
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
    """False if another trainer removed the file meanwhile, which makes this lock useless."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _remove(path: Path) -> None:
    """Remove the file; if that is not allowed while it is open, it stays, empty and unlocked."""
    try:
        path.unlink()
    except OSError:
        return
