"""From a cohort folder to a weights file: the whole training, start to card."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SynthesisError
from ..networks import recipes
from ..networks.checkpoint import Model, load, save
from ..synthesis.predict import GapPredictor
from .cohort import Source, TrainingScan, load_cohort
from .crops import CropSettings, draw_batch
from .loop import LoopSettings, Watch, train

Say = Callable[[str], None]


def train_cohort(
    cohort: str | Path,
    out: str | Path,
    settings: LoopSettings,
    *,
    preset: str = "compact",
    start: str | None = None,
    sources: Mapping[str, Source] | None = None,
    leave_out: tuple[str, ...] = (),
    device: torch.device | None = None,
    watch: Watch = lambda figures: None,
    say: Say = lambda sentence: None,
) -> Model:
    """Train a model on every usable scan of a folder and write it with its card.

    Args:
        cohort: folder of NRRD, NIfTI or MHA files.
        out: the weights file; `out` + ".state" keeps the run's state, and is gone on from if it is there.
        settings: see `LoopSettings`.
        preset: which recipe of `recipes.PRESETS` to build.
        start: bundled name or file to start from instead of fresh weights.
        sources: what is known of the scans: thickness, source, licence.
        leave_out: names of scans not to learn from.
        device: where to compute; the CPU by default.
        watch, say: progress as figures, and as sentences.

    Raises:
        SynthesisError: "bad-input", "bad-model" or "cannot-write".
    """
    out, sources, device = Path(out), sources or {}, device or torch.device("cpu")
    torch.manual_seed(settings.seed)
    model = _first_model(start, preset)
    scans = load_cohort(cohort, sources, leave_out)
    for scan in scans:
        say(f"{scan.name}: {len(scan.voxels)} slices every {scan.slice_spacing:.3g} mm, {scan.thickness:.3g} mm thick")
    effort = train(model, scans, settings, device, Path(f"{out}.state"), watch)
    model.fusion = fit_fusion(model, scans, settings.seed)
    say("fusion weights, axial, coronal, sagittal: " + ", ".join(f"{weight:.3f}" for weight in model.fusion))
    model.card = _card(model, scans, sources, effort, settings)
    model.sha256 = save(model, out)
    return model


def _first_model(start: str | None, preset: str) -> Model:
    model = load(start) if start else Model.untrained(recipes.PRESETS[preset])
    if not isinstance(model.recipe, recipes.CompactRecipe):
        kind = model.recipe.architecture
        raise SynthesisError("bad-model", f"Networks of the kind {kind} are not trained here: start from compact ones.")
    return model


def fit_fusion(model: Model, scans: list[TrainingScan], seed: int, crops: int = 256) -> tuple[float, float, float]:
    """Weights of the three views with the least squared error on dense gaps; coronal and sagittal weigh the same.

    With A, P the errors of the axial view and of the mean of the planes, the error of w A + (1 - w) P is least at
    w = <P (P - A)> / <(P - A)^2>.
    """
    rng = np.random.default_rng([seed, 1])
    batch = draw_batch(rng, scans, CropSettings(slab_share=0.15), crops, (96, 96), anchor=False)
    top = bottom = 0.0
    for neighbours, target, position, told in zip(*map(np.asarray, batch), strict=True):
        predictor = GapPredictor(model, (told.tolist(),) * 3, torch.device("cpu"), torch.float32)
        views = predictor(torch.from_numpy(neighbours), [float(position)])[:, 0, 0]
        inner = (slice(24, -24), slice(24, -24))
        axial, planes = (np.asarray(v)[inner] - target[inner] for v in (views[0], (views[1] + views[2]) / 2))
        top += float((planes * (planes - axial)).sum())
        bottom += float(((planes - axial) ** 2).sum())
    weight = float(np.clip(top / bottom, 0, 1)) if bottom else 1 / 3
    return weight, (1 - weight) / 2, (1 - weight) / 2


def _card(
    model: Model,
    scans: list[TrainingScan],
    sources: Mapping[str, Source],
    effort: dict[str, Any],
    settings: LoopSettings,
) -> dict[str, Any]:
    """What is known from the training itself; figures on held-out scans are added by whoever measures them."""
    data = [
        {
            "scan": scan.name,
            "slices": len(scan.voxels),
            "slice_spacing_mm": round(scan.slice_spacing, 4),
            "thickness_mm": scan.thickness,
            "source": sources[scan.name].source if scan.name in sources else "not given",
            "licence": sources[scan.name].licence if scan.name in sources else "not given",
        }
        for scan in scans
    ]
    parameters = {view: sum(p.numel() for p in network.parameters()) for view, network in model.networks.items()}
    return {
        "name": model.recipe.name,
        "date": datetime.date.today().isoformat(),
        "recipe": recipes.to_dict(model.recipe),
        "parameters": parameters,
        "training": {**effort, "seed": settings.seed, "device": "cpu", "threads": torch.get_num_threads()},
        "data": data,
    }
