"""Training loop: draw batches, step, report, validate, save. It resumes from its last state after an interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import SynthesisError
from ...networks.checkpoint import Model
from ...networks.recipes import to_dict
from ...volume.intensity import UNIT_HU
from ..scans.prefetch import Feeder
from ..scans.scan import TrainingScan
from .optimizer_step import ExplosionError, Stepper, training_precision
from .process_group import World
from .recipe import TrainingRecipe, as_values
from .training_state import State

Watch = Callable[[dict[str, float]], None]
Say = Callable[[str], None]
Examine = Callable[[], float]
"""Validates the current model; returns a gain in dB, higher is better."""

MOST_SETBACKS = 3
_SILENCE = 5.0  # maximum seconds between reports
_MEMORY = 0.98  # decay of the running means
_EXPLODED = 10  # a running mean this many times its minimum is not noise
_SETTLED = 100  # steps until the running means are reliable


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the training loop.

    Attributes:
        minutes: total training time over all starts; the learning rate follows a cosine to zero at the end.
        steps: instead of minutes; a run that was stopped and resumed then gives exactly the result of an uninterrupted one.
        warm_up_steps: steps of learning rate warm-up.
        seed: seed of crops and initial weights.
        batches: batches per step and process; the gradient is averaged over them.
        largest_gradient: maximum gradient norm (clipping).
        save_every: seconds between states written to disk.
        watch_every: steps between points of the curves, each of which is reported.
        exams: number of validations after the first one, evenly spaced over the run.
        clock: clock for the minutes, in seconds. With `time.process_time` and one thread, other load on the machine does
            not shorten a run.
    """

    minutes: float | None = 60
    steps: int | None = None
    warm_up_steps: int = 200
    seed: int = 0
    batches: int = 1
    largest_gradient: float = 0.5
    save_every: float = 50
    watch_every: int = 100
    exams: int = 10
    clock: Callable[[], float] = time.perf_counter

    def share(self, state: State) -> float:
        """Return the completed fraction of the run."""
        if self.steps is not None:
            return state.steps / self.steps
        assert self.minutes is not None
        return state.seconds / (60 * self.minutes)


def train(
    model: Model,
    scans: list[TrainingScan],
    recipe: TrainingRecipe,
    settings: LoopSettings,
    world: World,
    state_path: Path,
    *,
    watch: Watch = lambda figures: None,
    say: Say = lambda sentence: None,
    examine: Examine | None = None,
) -> State:
    """Train `model` in place until its minutes or steps are spent; the result is the weights with the best validation gain.

    Args:
        model: model whose networks fit the recipe.
        scans: training scans.
        recipe: training recipe.
        settings: see `LoopSettings`.
        world: processes that train together.
        state_path: file of the state; if it exists, training resumes from it.
        watch: receives metrics: step, fraction of the run, seconds left, running means of the losses times UNIT_HU (HU for
            error terms), the fraction of time spent waiting for crops, and the best gain.
        say: receives messages: setbacks and validation results.
        examine: validates the model; without it the last weights are the result.

    Raises:
        SynthesisError: "bad-model" (a state of another run), "cannot-write" (the last good state is kept), "diverged".
    """
    np.finfo(np.float32), np.finfo(np.float64)  # cached here: NumPy would warn if first called after the next line
    torch.set_flush_denormal(True)  # Adam's moments decay to denormal numbers, which are many times slower on CPUs
    try:
        training = _Training(model, scans, recipe, settings, world, state_path, watch, say, examine)
        training.run()
    finally:
        torch.set_flush_denormal(False)
    _set_memory_format(
        model.networks, torch.contiguous_format
    )  # as loaded from a file: rounding in half precision depends on the layout
    model.networks.eval()
    return training.state


def _set_memory_format(networks: nn.Module, layout: torch.memory_format) -> None:
    """Set the memory format of convolution weights."""
    for weight in networks.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=layout)


class _Training:
    def __init__(
        self,
        model: Model,
        scans: list[TrainingScan],
        recipe: TrainingRecipe,
        settings: LoopSettings,
        world: World,
        state_path: Path,
        watch: Watch,
        say: Say,
        examine: Examine | None,
    ) -> None:
        self._scans, self._recipe, self._settings, self._world = scans, recipe, settings, world
        self._path, self._watch, self._say, self._examine = state_path, watch, say, examine
        networks = model.networks.train().to(world.device)
        _set_memory_format(networks, torch.channels_last)
        self._stepper = Stepper(networks, recipe, settings.largest_gradient, world)
        self.state = State(networks, self._stepper.optimizer, identity(model, recipe, settings))
        content = world.from_first(state_path.read_bytes() if world.leads and state_path.exists() else None)
        if content is not None:
            self.state.load(content, state_path)
        if self.state.precision is None:
            self.state.precision = world.from_first(training_precision(world.device) if world.leads else None)
        self._stepper.compute_in(self.state.precision)
        self._good, self._between_steps = self.state.snapshot(), True
        self._reported_at = self.state.seconds

    def run(self) -> None:
        """Train until the run is complete."""
        try:
            while self._settings.share(self.state) < 1:
                try:
                    self._run_steps()
                except ExplosionError:
                    self._go_back()
            self._take_exam()
            self._choose_best()
        except SynthesisError:
            raise
        except BaseException:
            if self._between_steps:  # otherwise the state is inconsistent, in the middle of a step
                self._save()
            raise
        self._save()

    def _run_steps(self) -> None:
        """Perform steps until the end of the run, or until the loss explodes."""
        state, settings = self.state, self._settings
        last, seen = settings.clock(), 0.0
        with Feeder(self._draw, state.steps) as feeder:
            while (share := settings.share(state)) < 1:
                if int(share * settings.exams) > state.exams:
                    self._take_exam()
                    last = settings.clock()
                self._between_steps = False
                terms = self._stepper.step(feeder.next(), share, self._rate(share))
                now = settings.clock()
                spent, waited = self._shared_clock(now - last, feeder.waited - seen)
                last, seen = now, feeder.waited
                self._count(terms, spent, waited)
                self._between_steps = True
                self._mark()
                if state.seconds + spent - self._good["seconds"] > settings.save_every:
                    self._save()
                    self._good = state.snapshot()

    def _shared_clock(self, spent: float, waited: float) -> tuple[float, float]:
        """Average times over the processes, so that all of them stop, save and validate at the same step."""
        spent, waited = self._world.mean(torch.tensor([spent, waited], device=self._world.device)).tolist()
        return spent, waited

    def _draw(self, step: int) -> list[Any]:
        """Draw the batches of a step; they depend only on its number and the setbacks, not on interruptions."""
        first = self._world.rank * self._settings.batches
        seeds = [
            [self._settings.seed, step, number, self.state.setbacks]
            for number in range(first, first + self._settings.batches)
        ]
        return [self._recipe.draw(np.random.default_rng(seed), self._scans) for seed in seeds]

    def _rate(self, share: float) -> float:
        """Return the current factor of the peak learning rates."""
        warm_up = min(1.0, (self.state.steps + 1) / self._settings.warm_up_steps)
        return self.state.rate_scale * warm_up * (0.5 + 0.5 * math.cos(math.pi * share))

    def _count(self, terms: dict[str, float], spent: float, waited: float) -> None:
        state = self.state
        state.steps, state.seconds, state.waited = state.steps + 1, state.seconds + spent, state.waited + waited
        old, new = state.means, {**terms, "total": sum(terms.values())}
        state.means = {name: _MEMORY * old.get(name, value) + (1 - _MEMORY) * value for name, value in new.items()}
        lowest = old.get("lowest", math.inf)
        settled = state.steps >= _SETTLED
        state.means["lowest"] = min(lowest, state.means["total"]) if settled else lowest
        if state.means["total"] > _EXPLODED * state.means["lowest"]:
            raise ExplosionError

    def _mark(self) -> None:
        """Add a point to the curves if one is due, and report if one is due or the last report is too old."""
        state, settings = self.state, self._settings
        due = state.steps % settings.watch_every == 0 or settings.share(state) >= 1
        if due:
            state.curve.append({"step": state.steps, "seconds": state.seconds, **self._losses()})
        if due or state.seconds - self._reported_at > _SILENCE:
            self._reported_at = state.seconds
            self._tell()

    def _losses(self) -> dict[str, float]:
        return {f"loss_{name}": UNIT_HU * value for name, value in self.state.means.items() if name != "lowest"}

    def _tell(self) -> None:
        state, share = self.state, min(1.0, self._settings.share(self.state))
        left = state.seconds * (1 - share) / share if share else math.inf
        waiting = state.waited / state.seconds if state.seconds else 0.0
        gain = {} if state.best_gain is None else {"best_gain_db": state.best_gain}
        figures = {"step": state.steps, "share": share, "seconds_left": left, "waiting": waiting, **gain}
        if self._world.leads:
            self._watch({**figures, **self._losses()})

    def _take_exam(self) -> None:
        """Validate the model on rank 0, and keep the weights if they are the best so far. Other ranks wait."""
        state = self.state
        self._save()  # validation may take longer than `save_every`; a resumed run repeats it
        state.exams = int(self._settings.share(state) * self._settings.exams)
        if self._examine is None or not self._world.leads:
            return
        gain = self._examine()
        state.curve.append({"step": state.steps, "seconds": state.seconds, "gain_db": gain})
        self._say(f"step {state.steps}: {gain:+.2f} dB against cubic on the held-out scans")
        if state.best_gain is None or gain >= state.best_gain:
            state.best_gain = gain
            state.best = {name: weight.detach().cpu().clone() for name, weight in state.networks.state_dict().items()}

    def _choose_best(self) -> None:
        if self.state.best is not None:
            self.state.networks.load_state_dict(self.state.best)

    def _go_back(self) -> None:
        """Return to the last good state, with half the learning rate.

        Raises:
            SynthesisError: "diverged" after MOST_SETBACKS setbacks.
        """
        setbacks, seconds = self.state.setbacks + 1, self.state.seconds
        at = self.state.steps
        self.state.restore(self._good)
        self.state.setbacks, self.state.rate_scale, self.state.seconds = setbacks, 0.5**setbacks, seconds
        self._between_steps = True
        if setbacks >= MOST_SETBACKS:
            raise SynthesisError(
                "diverged",
                f"The loss exploded {setbacks} times, most recently at step {at}: start over from other weights, or check the"
                " scans for values that are not HU.",
            )
        if self._world.leads:
            self._say(
                f"The loss exploded at step {at}; continuing from step {self.state.steps} with"
                f" {self.state.rate_scale:g} of the learning rate."
            )

    def _save(self) -> None:
        if self._world.leads:
            self.state.save(self._path)


def identity(model: Model, recipe: TrainingRecipe, settings: LoopSettings) -> dict[str, Any]:
    """Return the identity of a run. It excludes the number of processes, which may change when one is lost."""
    return {"networks": to_dict(model.recipe), "recipe": as_values(recipe), "seed": settings.seed}
