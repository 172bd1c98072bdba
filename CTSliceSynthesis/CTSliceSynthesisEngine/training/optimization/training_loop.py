"""The one training loop: draw, step, watch, keep. It goes on from its last state after any interruption."""

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
"""Scores the model that is trained, as it is now: a gain in dB, more is better."""

MOST_SETBACKS = 3
_SILENCE = 5.0  # seconds without a report, at most
_MEMORY = 0.98  # of the running means
_EXPLODED = 10  # a running mean this many times its lowest is no noise
_SETTLED = 100  # steps until a running mean means something


@dataclass(frozen=True)
class LoopSettings:
    """How long, and how.

    Attributes:
        minutes: of training in all, over every start; the learning rate falls along a cosine to nothing at the end.
        steps: instead of minutes; then a run that was stopped and resumed ends exactly where one that was not does.
        warm_up_steps: steps over which the rates rise.
        seed: of crops and first weights.
        batches: drawn by each process in a step; the gradient is their mean.
        largest_gradient: norm that a gradient is cut to.
        save_every: seconds between states written to disk.
        watch_every: steps between two points of the curves, each of which is reported.
        exams: how often the held-out scans are scored after the start, evenly over the run.
        clock: of the minutes, in seconds. With `time.process_time` and one thread, other work on the machine takes nothing
            from a run.
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
        """Of the run that is over."""
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
    """Train `model` in place until its minutes or steps are spent; its weights are the best that were scored.

    Args:
        model: its networks fit the recipe.
        scans: to learn from.
        recipe: what a step learns from, and how fast.
        settings: see `LoopSettings`.
        world: who trains together.
        state_path: where the state is kept; an existing one is gone on from.
        watch: gets figures: step, share of the run, seconds left, running means of the losses times UNIT_HU (HU, where the
            term is an error), the share of time spent waiting for crops, and the last gain.
        say: gets sentences: setbacks and scores.
        examine: scores the model; without it the last weights are the result.

    Raises:
        SynthesisError: "bad-model" (a state of another run), "cannot-write" (the last good state is kept), "diverged".
    """
    np.finfo(np.float32), np.finfo(np.float64)  # asked for later, NumPy would warn of the next line
    torch.set_flush_denormal(True)  # Adam's averages fade into numbers that processors take many times longer for
    try:
        training = _Training(model, scans, recipe, settings, world, state_path, watch, say, examine)
        training.run()
    finally:
        torch.set_flush_denormal(False)
    _lay_out(model.networks, torch.contiguous_format)  # as read from a file: half precision rounds by the layout
    model.networks.eval()
    return training.state


def _lay_out(networks: nn.Module, layout: torch.memory_format) -> None:
    """Arrange the weights of convolutions in memory."""
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
        _lay_out(networks, torch.channels_last)
        self._stepper = Stepper(networks, recipe, settings.largest_gradient, world)
        self.state = State(networks, self._stepper.optimizer, identity(model, recipe, settings))
        content = world.from_first(state_path.read_bytes() if world.leads and state_path.exists() else None)
        if content is not None:
            self.state.load(content, state_path)
        if self.state.precision is None:
            self.state.precision = world.from_first(training_precision(world.device) if world.leads else None)
        self._stepper.compute_in(self.state.precision)
        self._good, self._between_steps = self.state.snapshot(), True
        self._told = self.state.seconds

    def run(self) -> None:
        """Until the share is one."""
        try:
            while self._settings.share(self.state) < 1:
                try:
                    self._run_on()
                except ExplosionError:
                    self._go_back()
            self._take_exam()
            self._choose_best()
        except SynthesisError:
            raise
        except BaseException:
            if self._between_steps:  # else the state is half one step and half the next
                self._save()
            raise
        self._save()

    def _run_on(self) -> None:
        """Steps to the end of the run, or until the loss explodes."""
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
        """Means over the processes, so that all of them stop, save and score at the same step."""
        spent, waited = self._world.mean(torch.tensor([spent, waited], device=self._world.device)).tolist()
        return spent, waited

    def _draw(self, step: int) -> list[Any]:
        """The batches of a step: they follow from its number, whatever happened before and how often it was resumed."""
        first = self._world.rank * self._settings.batches
        seeds = [
            [self._settings.seed, step, number, self.state.setbacks]
            for number in range(first, first + self._settings.batches)
        ]
        return [self._recipe.draw(np.random.default_rng(seed), self._scans) for seed in seeds]

    def _rate(self, share: float) -> float:
        """Of the peak learning rates."""
        risen = min(1.0, (self.state.steps + 1) / self._settings.warm_up_steps)
        return self.state.rate_scale * risen * (0.5 + 0.5 * math.cos(math.pi * share))

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
        """A point of the curves where one is due, and a report where the last one is long ago."""
        state, settings = self.state, self._settings
        due = state.steps % settings.watch_every == 0 or settings.share(state) >= 1
        if due:
            state.curve.append({"step": state.steps, "seconds": state.seconds, **self._losses()})
        if due or state.seconds - self._told > _SILENCE:
            self._told = state.seconds
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
        """Score the model, and remember the weights if they are the best so far. The others wait."""
        state = self.state
        self._save()  # scoring may take longer than what may be lost; a resumed run scores again
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
        """To the last good state, with half the rate.

        Raises:
            SynthesisError: "diverged" when that did not help before.
        """
        setbacks, seconds = self.state.setbacks + 1, self.state.seconds
        at = self.state.steps
        self.state.restore(self._good)
        self.state.setbacks, self.state.rate_scale, self.state.seconds = setbacks, 0.5**setbacks, seconds
        self._between_steps = True
        if setbacks >= MOST_SETBACKS:
            raise SynthesisError(
                "diverged",
                f"The loss exploded {setbacks} times, lastly at step {at}: start over from other weights, or check the"
                " scans for values that are not HU.",
            )
        if self._world.leads:
            self._say(
                f"The loss exploded at step {at}; going on from step {self.state.steps} with"
                f" {self.state.rate_scale:g} of the learning rate."
            )

    def _save(self) -> None:
        if self._world.leads:
            self.state.save(self._path)


def identity(model: Model, recipe: TrainingRecipe, settings: LoopSettings) -> dict[str, Any]:
    """What makes a run the same run. How many processes share it may change: one of them may be lost."""
    return {"networks": to_dict(model.recipe), "recipe": as_values(recipe), "seed": settings.seed}
