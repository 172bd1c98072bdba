"""Report folder of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ..errors import SynthesisError
from ..evaluation.holdout import hold_out
from ..evaluation.picture import comparison_png
from ..evaluation.training_page import page
from ..networks.checkpoint import Model
from ..synthesis import classical
from ..whole_file import write_whole
from .scans.scan import TrainingScan
from .train_cohort import Outcome
from .validation.held_out_scans import factors, middle, restore

_MOST_PICTURES = 4
_SHOWN = (65, 1024, 1024)  # maximum slices, rows and columns of an image


def write_report(
    folder: Path,
    outcome: Outcome,
    device: torch.device,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> None:
    """Write report.html: verdict, curves, metrics, images of the middle slices of the evaluated scans, settings, data.

    Raises:
        SynthesisError: "cannot-write".
    """
    shown = outcome.measured[:_MOST_PICTURES]
    pictures: dict[str, bytes] = {}
    for done, scan in enumerate(shown):
        progress("report", done, len(shown) + 1)
        pictures |= _picture(outcome.model, scan, device)
    text = page(outcome.model.card, outcome.state.curve, pictures, [entry.line for entry in outcome.cohort.entries])
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        message = f"The folder {folder} cannot be made ({error.strerror})"
        raise SynthesisError("cannot-write", f"{message}: free the name, or choose another output.") from error
    write_whole(text.encode(), folder / "report.html")
    progress("report", len(shown) + 1, len(shown) + 1)


def _picture(model: Model, scan: TrainingScan, device: torch.device) -> dict[str, bytes]:
    """Return caption and PNG of one scan at its largest factor; empty if matplotlib is missing."""
    factor = factors(model, scan)[-1]
    thick, truth = hold_out(scan.volume(middle(scan, _SHOWN)), factor, "gap")
    cubic, ours = classical.interpolate_volume(thick, factor, "cubic"), restore(model, thick, factor, device)
    try:
        return {f"{scan.name}, middle slices, x{factor}": comparison_png(thick, cubic, ours, truth)}
    except SynthesisError as error:
        if error.reason != "bad-option":
            raise
        return {}
