"""The job "train": a cohort folder in, weights with their card out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from ..errors import SynthesisError
from ..networks.recipes import PRESETS, CompactRecipe
from ..training.cohort import read_sources
from ..training.loop import LoopSettings
from ..training.run import train_cohort
from .progress import Bars


def train(options: argparse.Namespace, bars: Bars) -> None:
    """Run the options of `ctslices train`; what can be refused is refused before the minutes are spent."""
    _check(options)
    if options.threads:
        torch.set_num_threads(options.threads)

    def watch(figures: dict[str, float]) -> None:
        note = ", ".join(f"{name[:-3]} {value:.1f} HU" for name, value in figures.items() if name.endswith("_hu"))
        bars.progress("train", int(1000 * figures["share"]), 1000, f"step {figures['step']:.0f}, {note}")

    model = train_cohort(
        options.cohort,
        options.out,
        LoopSettings(minutes=options.minutes, seed=options.seed),
        preset=options.preset,
        start=options.start,
        sources=read_sources(options.sources) if options.sources else None,
        leave_out=tuple(options.holdout),
        watch=watch,
        say=bars.say,
    )
    print(f"{options.out}: SHA-256 {model.sha256}")


def _check(options: argparse.Namespace) -> None:
    trainable = [name for name, recipe in PRESETS.items() if isinstance(recipe, CompactRecipe)]
    if options.preset not in trainable:
        raise SynthesisError("bad-option", f"The preset is one of {', '.join(trainable)}, not {options.preset!r}.")
    if not 0 < options.minutes < math.inf:
        raise SynthesisError("bad-option", f"Training takes more than 0 minutes, not {options.minutes:g}.")
    folder = Path(options.out).resolve().parent
    if not folder.is_dir():
        raise SynthesisError("cannot-write", f"The folder {folder} does not exist; make it first.")
