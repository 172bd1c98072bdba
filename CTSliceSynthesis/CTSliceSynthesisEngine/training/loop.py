"""The training loop: draw, step, watch, keep. It goes on from its last state after any interruption."""

from __future__ import annotations

import io
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import SynthesisError
from ..networks.checkpoint import Model
from ..whole_file import write_whole
from .cohort import TrainingScan
from .crops import CropSettings
from .distillation import Batch, StepSettings, draw, losses

Watch = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast.

    Attributes:
        minutes: of training in all, over every start; the learning rate falls along a cosine to nothing at the end.
        through_plane_rate, axial_rate: peak learning rates of Adam.
        warm_up_steps: steps over which the rates rise.
        seed: of crops and first weights.
        save_every: seconds between states written to disk.
        watch_every: steps between two reports.
    """

    minutes: float = 60
    through_plane_rate: float = 2e-3
    axial_rate: float = 1e-3
    warm_up_steps: int = 200
    seed: int = 0
    save_every: float = 50
    watch_every: int = 100
    crops: CropSettings = field(default_factory=CropSettings)
    step: StepSettings = field(default_factory=StepSettings)


@dataclass
class State:
    """All that a run needs to go on: networks, optimizer, and how far it has come."""

    networks: nn.ModuleDict
    optimizer: torch.optim.Optimizer
    steps: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write the state whole or not at all."""
        buffer = io.BytesIO()
        torch.save(
            {
                "networks": self.networks.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "steps": self.steps,
                "seconds": self.seconds,
            },
            buffer,
        )
        write_whole(buffer.getvalue(), path)

    def load(self, path: Path) -> None:
        """Go on from a state written by `save`.

        Raises:
            SynthesisError: "bad-model" for a damaged file, or the state of other networks.
        """
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            self.networks.load_state_dict(stored["networks"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.steps, self.seconds = stored["steps"], stored["seconds"]
        except Exception as error:  # torch raises many kinds for a damaged or foreign file
            raise SynthesisError(
                "bad-model",
                f"Training cannot go on from {path}, which is damaged or of other networks: remove it to start anew.",
            ) from error


def train(
    model: Model,
    scans: list[TrainingScan],
    settings: LoopSettings,
    device: torch.device,
    state_path: Path,
    watch: Watch = lambda figures: None,
) -> dict[str, Any]:
    """Train `model` in place until its minutes are spent.

    Args:
        model: of a compact recipe.
        scans: to learn from.
        device: where to compute.
        state_path: where the state is kept; an existing one is gone on from.
        watch: gets running means of the losses (HU), the step and the share of time that is spent.

    Returns:
        Steps and minutes it took, for the card.
    """
    torch.manual_seed(settings.seed)
    torch.set_flush_denormal(True)  # Adam's averages fade into numbers that processors take many times longer for
    networks = model.networks.train().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(networks, _optimizer(networks))
    if state_path.exists():
        state.load(state_path)
    feeder = _Feeder(scans, settings, state.steps)
    try:
        _run(state, feeder, settings, device, state_path, watch)
    finally:
        feeder.stop()
        state.save(state_path)
    networks.eval()
    return {"steps": state.steps, "minutes": round(state.seconds / 60, 1)}


def _optimizer(networks: nn.ModuleDict) -> torch.optim.Optimizer:
    groups = [{"params": list(networks[view].parameters())} for view in ("through_plane", "axial")]
    return torch.optim.Adam(groups, lr=1e-3, betas=(0.9, 0.99))


def _run(
    state: State, feeder: _Feeder, settings: LoopSettings, device: torch.device, state_path: Path, watch: Watch
) -> None:
    means: dict[str, float] = {}
    last, saved = time.monotonic(), time.monotonic()
    while (share := state.seconds / (60 * settings.minutes)) < 1:
        _set_rates(state, settings, share)
        terms = _step(state, feeder.next(), settings, device)
        means = {name: 0.98 * means.get(name, value) + 0.02 * value for name, value in terms.items()}
        now = time.monotonic()
        state.steps, state.seconds, last = state.steps + 1, state.seconds + now - last, now
        if state.steps % settings.watch_every == 0:
            watch({"step": state.steps, "share": share, **{f"{name}_hu": 4096 * v for name, v in means.items()}})
        if now - saved > settings.save_every:
            state.save(state_path)
            saved = now


def _set_rates(state: State, settings: LoopSettings, share: float) -> None:
    factor = min(1.0, (state.steps + 1) / settings.warm_up_steps) * (0.5 + 0.5 * math.cos(math.pi * share))
    for group, rate in zip(
        state.optimizer.param_groups, (settings.through_plane_rate, settings.axial_rate), strict=True
    ):
        group["lr"] = rate * factor


def _step(state: State, batch: Batch, settings: LoopSettings, device: torch.device) -> dict[str, float]:
    with torch.autocast(device.type, torch.bfloat16):
        terms = losses(state.networks, batch, settings.step, device)
    state.optimizer.zero_grad(set_to_none=True)
    sum(terms.values()).backward()  # type: ignore[union-attr]
    nn.utils.clip_grad_norm_(state.networks.parameters(), 0.5)
    state.optimizer.step()
    return {name: term.item() for name, term in terms.items()}


class _Feeder:
    """Draws batches in a thread, a few ahead, so that the optimizer does not wait."""

    def __init__(self, scans: list[TrainingScan], settings: LoopSettings, steps_done: int) -> None:
        self._queue: queue.Queue[Batch] = queue.Queue(maxsize=4)
        self._stopped = threading.Event()
        # A seed of its own for every start: a resumed run does not see its first crops again.
        rng = np.random.default_rng([settings.seed, steps_done])
        self._thread = threading.Thread(target=self._fill, args=(rng, scans, settings), daemon=True)
        self._thread.start()

    def next(self) -> Batch:
        while True:
            try:
                return self._queue.get(timeout=1)
            except queue.Empty:
                if not self._thread.is_alive():
                    raise RuntimeError("the thread that draws crops has stopped") from None

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _fill(self, rng: np.random.Generator, scans: list[TrainingScan], settings: LoopSettings) -> None:
        while not self._stopped.is_set():
            batch = draw(rng, scans, settings.crops, settings.step)
            while not self._stopped.is_set():
                try:
                    self._queue.put(batch, timeout=0.2)
                    break
                except queue.Full:
                    continue
