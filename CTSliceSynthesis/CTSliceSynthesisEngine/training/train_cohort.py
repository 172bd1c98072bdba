"""Complete training: from a cohort to a weights file with its card."""

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
    """A training order.

    Attributes:
        cohort: folder or list of scans, see `cohort.survey`.
        out: weights file. Next to it are its card (.json) and, during training, its state (.state) and lock (.lock).
        cache: folder for converted scans.
        settings: settings of the training loop.
        recipe: training recipe: a name of `training_recipes.PRESETS`, "auto", or a recipe itself.
        preset: networks to build, see `networks.recipes.PRESETS`; not used when starting from a model.
        start: SCRATCH, or a bundled name or weights file to start from.
        into: preset to build when starting from a model, whose networks are reused where they fit, and grown; None
            continues with the model as it is.
        sources: known properties of the scans.
        holdout: see `cohort.survey`.
        resume: resume from the state, if there is one.
        device: compute device.
        adapts: the cohort is one scan, and the model is for that scan: it is evaluated on the scan itself, thinned out,
            which is valid because none of its slices was ground truth for another.
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

    def companion_file(self, ending: str) -> Path:
        """Return the path of a file next to the weights."""
        return self.out.with_name(self.out.name + ending)


@dataclass(frozen=True)
class Outcome:
    """Result of a training; metrics are those of rank 0.

    Attributes:
        model: trained model with its card.
        verdict: result of the validation.
        cohort: training data.
        state: curves, steps and time.
        measured: scans of the verdict.
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
    """Train a model on every usable scan of a cohort, evaluate it, and write it with its card.

    Args:
        order: training order.
        watch, say, progress: receive metrics, messages, and progress of stages.
        finish: called on rank 0 when the weights are written, before the state is removed.

    Raises:
        SynthesisError: "bad-input", "bad-option", "bad-model", "cannot-write" or "diverged".
    """
    with joined(order.device) as world:
        report = say if world.leads else lambda sentence: None
        if not world.leads:
            return _train(order, world, watch, report, lambda stage, done, total: None)
        with locked(order.companion_file(".lock")):
            _check_state(order)
            outcome = _train(order, world, watch, report, progress)
            _write(order, outcome)
            finish(outcome)
            order.companion_file(".state").unlink(missing_ok=True)
    return outcome


def _check_state(order: Order) -> None:
    state = order.companion_file(".state")
    if state.exists() and not order.resume:
        raise SynthesisError(
            "cannot-write", f"{state} is left from a training that did not end: go on with --resume, or remove it."
        )


def _train(order: Order, world: World, watch: Watch, say: Say, progress: Progress) -> Outcome:
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
    recipe = training_recipes.select(order.recipe, model.recipe, cohort.learned_from)
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
        order.companion_file(".state"),
        watch=watch,
        say=say,
        examine=examine if cohort.held_out else None,
    )
    measured = _evaluable(cohort.learned_from) if order.adapts else cohort.held_out
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


def _evaluable(scans: list[TrainingScan]) -> list[TrainingScan]:
    """Return the scans whose slices are still close enough when every other one is removed."""
    return [scan for scan in scans if 2 * scan.slice_spacing <= MAX_SPACING]


def _first_model(order: Order) -> Model:
    """Return the initial model of a run.

    Raises:
        SynthesisError: "bad-option" for an unknown preset; "bad-model" if no network of the start fits.
    """
    start = None if order.start == SCRATCH else load(order.start)
    if start is not None and order.into is None:
        return start
    preset = order.preset if start is None else str(order.into)
    if preset not in networks.PRESETS:
        listed = ", ".join(networks.PRESETS)
        raise SynthesisError("bad-option", f"The preset is one of {listed}, not {preset!r}.")
    model = Model.untrained(networks.PRESETS[preset])
    return model if start is None else _transfer_networks(model, start)


def _transfer_networks(model: Model, start: Model) -> Model:
    """Copy every network of `start` that fits, growing it if necessary, and the card of `start`, to a model."""
    fitting = []
    for view, network in model.networks.items():
        old = start.networks[view]
        # A parallel axial network has other inputs than one that runs last.
        if isinstance(old, GapNetwork) and type(old) is type(network) and can_grow(old.shape, network.shape):
            grow(old, network)
            fitting.append(view)
    if not fitting:
        raise SynthesisError(
            "bad-model",
            f"No network of {start.name} fits into one of the preset {model.recipe.name}: omit --into, or train from scratch.",
        )
    model.card, model.sha256 = start.card, start.sha256
    return model


def _fusion(model: Model, scans: list[TrainingScan], seed: int, crops: int = 256) -> tuple[float, float, float]:
    """Return the fusion weights of the views; the published recipe keeps the plain mean."""
    is_compact = isinstance(model.recipe, networks.CompactRecipe)
    return fit_fusion(model, scans, seed, crops) if is_compact else model.fusion


def _calibrate(model: Model, scans: list[TrainingScan], seed: int) -> None:
    """Fit the fusion weights of the views and the expected error to the trained networks."""
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
    """Return the model card: facts of the training, and of the initial weights, whose card the model still has."""
    parameters = {view: sum(p.numel() for p in network.parameters()) for view, network in model.networks.items()}
    return {
        "name": model.recipe.name,
        "date": datetime.date.today().isoformat(),
        "recipe": networks.to_dict(model.recipe),
        "parameters": parameters,
        "expected_error": list(model.expected_error.coefficients) if model.expected_error else None,
        "training": {
            "recipe": as_values(recipe),
            "start": Path(order.start).name,  # cards are shared: do not disclose local folders
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
    """Describe the initial weights and their training data; None if from scratch."""
    if not start.sha256:
        return None
    keys = ("training", "started_from", "data")
    return {"sha256": start.sha256, **{key: start.card[key] for key in keys if key in start.card}}


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
    """Write the weights, and the card next to them."""
    model = outcome.model
    model.name, model.sha256 = order.out.name, save(model, order.out)
    text = json.dumps({**model.card, "sha256": model.sha256}, indent=1, ensure_ascii=False, default=list) + "\n"
    write_whole(text.encode(), order.out.with_suffix(".json"))
