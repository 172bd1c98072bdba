"""From a cohort to a weights file: the whole training, start to card."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import SynthesisError
from ..networks import recipes as networks
from ..networks.checkpoint import Model, load, save
from ..networks.gap_network import GapNetwork
from ..networks.grown import can_grow, grow
from ..version import VERSION
from ..whole_file import write_whole
from . import training_recipes
from .optimization.process_group import World, joined
from .optimization.recipe import TrainingRecipe, as_values
from .optimization.training_loop import LoopSettings, Watch, train
from .optimization.training_state import State, locked
from .scans.cohort import Cohort, survey
from .scans.crops import MAX_SPACING
from .scans.scan import TrainingScan
from .scans.scan_cache import ScanCache
from .scans.source_table import NOT_GIVEN, Source
from .validation.adaptation_check import Start, choose
from .validation.error_calibration import fit_expected_error
from .validation.fusion_weights import fit_fusion
from .validation.held_out_scans import Verdict, judge, quick_gain

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]

SCRATCH = "scratch"

ADAPTED_REMARK = "The model is measured on the scan itself, thinned out: no slice of it was a truth for another."


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        cohort: folder or list of scans, see `cohort.survey`.
        out: the weights file. Beside it lie its card (.json), while it trains its state (.state) and lock (.lock).
        cache: folder for converted scans.
        settings: how long, and how.
        recipe: of training: a name of `training_recipes.PRESETS`, "auto", or a recipe itself.
        preset: which networks to build, see `networks.recipes.PRESETS`; not used when it starts from a model.
        start: SCRATCH, or a bundled name or weights file to start from.
        into: a preset to build when it starts from a model, whose networks are taken over where they fit, and grown; None
            goes on with the model as it is.
        sources: what is known of the scans.
        holdout: see `cohort.survey`.
        resume: go on from the state, if there is one.
        device: where to compute.
        adapts: the cohort is one scan, and the model is for that scan: it is measured on the scan itself, thinned out,
            for no slice of it was a truth for another.
    """

    cohort: Path
    out: Path
    cache: Path
    settings: LoopSettings
    recipe: str | TrainingRecipe = "auto"
    preset: str = "compact"
    start: str = SCRATCH
    into: str | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    holdout: tuple[str, ...] = ()
    resume: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    adapts: bool = False

    def beside(self, ending: str) -> Path:
        """A file that goes with the weights."""
        return self.out.with_name(self.out.name + ending)


@dataclass(frozen=True)
class Outcome:
    """What came of a training; the figures are those of the first process.

    Attributes:
        model: with its card.
        verdict: whether it may be used.
        cohort: what it learned from.
        state: curves and effort.
        measured: the scans of the verdict.
    """

    model: Model
    verdict: Verdict
    cohort: Cohort
    state: State
    measured: list[TrainingScan]


def train_cohort(
    order: Order,
    *,
    watch: Watch = lambda figures: None,
    say: Say = lambda sentence: None,
    progress: Progress = lambda stage, done, total: None,
    finish: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Train a model on every usable scan of a cohort, measure it, and write it with its card.

    Args:
        order: what to train.
        watch, say, progress: what happens, as figures, sentences, and stages.
        finish: called in the first process when the weights are written, before the state goes away.

    Raises:
        SynthesisError: "bad-input", "bad-option", "bad-model", "cannot-write" or "diverged".
    """
    with joined(order.device) as world:
        speak = say if world.leads else lambda sentence: None
        if not world.leads:
            return _trained(order, world, watch, speak, lambda stage, done, total: None)
        with locked(order.beside(".lock")):
            _check_state(order)
            outcome = _trained(order, world, watch, speak, progress)
            _write(order, outcome)
            finish(outcome)
            order.beside(".state").unlink(missing_ok=True)
    return outcome


def _check_state(order: Order) -> None:
    state = order.beside(".state")
    if state.exists() and not order.resume:
        raise SynthesisError(
            "cannot-write", f"{state} is left from a training that did not end: go on with --resume, or remove it."
        )


def _trained(order: Order, world: World, watch: Watch, say: Say, progress: Progress) -> Outcome:
    torch.manual_seed(order.settings.seed)
    model = _first_model(order)
    cohort = survey(
        order.cohort,
        ScanCache(order.cache),
        order.sources,
        order.holdout,
        order.settings.seed,
        training_recipes.dense_spacing(order.recipe),
        say,
        progress,
    )
    recipe = training_recipes.chosen(order.recipe, model.recipe, cohort.learned_from)
    if order.start == SCRATCH and isinstance(recipe, training_recipes.GapTraining) and not recipe.through_plane_rate:
        raise SynthesisError(
            "bad-option",
            f"The recipe {recipe.name} leaves the through-plane network as it is: name trained weights with --from.",
        )
    if order.adapts:
        cohort = replace(cohort, remark=ADAPTED_REMARK)
    if cohort.remark:
        say(cohort.remark)
    say(f"recipe {recipe.name}, networks {model.recipe.name}, {len(cohort.learned_from)} scans to learn from")

    def examine() -> float:
        fused = replace(model, fusion=_fusion(model, cohort.learned_from, order.settings.seed, crops=48))
        return quick_gain(fused, cohort.held_out, world.device)

    start = Start.of(model)
    state = train(
        model,
        cohort.learned_from,
        recipe,
        order.settings,
        world,
        order.beside(".state"),
        watch=watch,
        say=say,
        examine=examine if cohort.held_out else None,
    )
    measured = _measurable(cohort.learned_from) if order.adapts else cohort.held_out
    if not world.leads:
        return Outcome(model, Verdict(None, ""), cohort, state, measured)
    if not order.adapts:
        _calibrate(model, cohort.learned_from, order.settings.seed)
    choice = choose(model, start, cohort.learned_from, world.device) if order.adapts else None
    verdict = judge(model, measured, world.device, progress, whole=not order.adapts)
    if choice:
        verdict = replace(verdict, sentence=f"{choice.sentence} {verdict.sentence}")
    model.card = card(model, cohort, order, recipe, state, verdict, world)
    if choice:
        model.card["adaptation"] = choice.as_json()
    return Outcome(model, verdict, cohort, state, measured)


def _measurable(scans: list[TrainingScan]) -> list[TrainingScan]:
    """Scans that have a neighbour left near enough when every second slice is gone."""
    return [scan for scan in scans if 2 * scan.slice_spacing <= MAX_SPACING]


def _first_model(order: Order) -> Model:
    """The networks that a run begins with.

    Raises:
        SynthesisError: "bad-option" for an unknown preset; "bad-model" where nothing of the start fits it.
    """
    start = None if order.start == SCRATCH else load(order.start)
    if start is not None and order.into is None:
        return start
    preset = order.preset if start is None else str(order.into)
    if preset not in networks.PRESETS:
        listed = ", ".join(networks.PRESETS)
        raise SynthesisError("bad-option", f"The preset is one of {listed}, not {preset!r}.")
    model = Model.untrained(networks.PRESETS[preset])
    return model if start is None else _taken_over(model, start)


def _taken_over(model: Model, start: Model) -> Model:
    """The model, with every network of `start` that fits into it, perhaps grown; and with the card of `start`."""
    fitting = []
    for view, network in model.networks.items():
        old = start.networks[view]
        # An axial network beside the others reads other images than one that answers last.
        if isinstance(old, GapNetwork) and type(old) is type(network) and can_grow(old.shape, network.shape):
            grow(old, network)
            fitting.append(view)
    if not fitting:
        raise SynthesisError(
            "bad-model",
            f"No network of {start.name} fits into one of the preset {model.recipe.name}: leave --into out, or start over.",
        )
    model.card, model.sha256 = start.card, start.sha256
    return model


def _fusion(model: Model, scans: list[TrainingScan], seed: int, crops: int = 256) -> tuple[float, float, float]:
    """The weights of the views; the published recipe keeps the plain mean."""
    is_compact = isinstance(model.recipe, networks.CompactRecipe)
    return fit_fusion(model, scans, seed, crops) if is_compact else model.fusion


def _calibrate(model: Model, scans: list[TrainingScan], seed: int) -> None:
    """Last, what is told from the finished networks: how much each view weighs, and how wrong they are likely to be."""
    model.fusion = _fusion(model, scans, seed)
    if isinstance(model.recipe, networks.CompactRecipe):
        model.expected_error = fit_expected_error(model, scans, seed)


def card(
    model: Model,
    cohort: Cohort,
    order: Order,
    recipe: TrainingRecipe,
    state: State,
    verdict: Verdict,
    world: World,
) -> dict[str, Any]:
    """What is known from the training itself, and of the weights it started from: the model still has their card."""
    parameters = {view: sum(p.numel() for p in network.parameters()) for view, network in model.networks.items()}
    return {
        "name": model.recipe.name,
        "date": datetime.date.today().isoformat(),
        "recipe": networks.to_dict(model.recipe),
        "parameters": parameters,
        "expected_error": list(model.expected_error.coefficients) if model.expected_error else None,
        "training": {
            "recipe": as_values(recipe),
            "start": Path(order.start).name,  # a card travels; the folders of this machine stay here
            "steps": state.steps,
            "minutes": round(state.seconds / 60, 1),
            "share_of_time_waiting_for_crops": round(state.waited / state.seconds, 4) if state.seconds else 0.0,
            "setbacks": state.setbacks,
            "seed": order.settings.seed,
            "batches_per_step": order.settings.batches * world.size,
            "device": str(world.device),
            "precision": state.precision,
            "processes": world.size,
            "threads": torch.get_num_threads(),
            "version": VERSION,
        },
        "started_from": _origin(model),
        "data": [_data(scan, order.sources) for scan in cohort.learned_from],
        "held_out": [_data(scan, order.sources) for scan in cohort.held_out],
        "remark": cohort.remark,
        "verdict": verdict.as_json(),
    }


def _origin(start: Model) -> dict[str, Any] | None:
    """Which weights a training went on from, and what those learned from; None if from scratch."""
    if not start.sha256:
        return None
    told = ("training", "started_from", "data")
    return {"sha256": start.sha256, **{key: start.card[key] for key in told if key in start.card}}


def _data(scan: TrainingScan, sources: Mapping[str, Source]) -> dict[str, Any]:
    known = sources.get(scan.name)
    return {
        "scan": scan.name,
        "slices": len(scan.voxels),
        "slice_spacing_mm": round(scan.slice_spacing, 4),
        "thickness_mm": round(scan.thickness, 4),
        "source": known.source if known else NOT_GIVEN,
        "licence": known.licence if known else NOT_GIVEN,
    }


def _write(order: Order, outcome: Outcome) -> None:
    """The weights, and the card beside them."""
    model = outcome.model
    model.name, model.sha256 = order.out.name, save(model, order.out)
    text = json.dumps({**model.card, "sha256": model.sha256}, indent=1, ensure_ascii=False, default=list) + "\n"
    write_whole(text.encode(), order.out.with_suffix(".json"))
