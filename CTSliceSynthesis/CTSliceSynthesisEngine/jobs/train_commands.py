"""The commands `train` and `adapt`: options and reporting. Torch-free, so that `--help` is fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from ..errors import REASONS, SynthesisError
from ..networks.registry import DEFAULT_MODEL
from ..ranks import rank_and_size
from .events import Emit, emitter
from .progress_bars import Bars

Add = Callable[[Any, str, Callable[[argparse.Namespace], int | None], str], argparse.ArgumentParser]


def add_train(commands: Any, add: Add) -> None:
    """Add the command `train`."""
    command = add(commands, "train", _train, "train a model on a cohort of scans")
    command.add_argument(
        "cohort", metavar="COHORT", help="folder of DICOM, NRRD, NIfTI or MHA scans, searched recursively; or a"
        " text file with one path per line"
    )  # fmt: skip
    command.add_argument("--out", required=True, metavar="MODEL.pt")
    command.add_argument(
        "--recipe", default="auto", help="auto, published, anchored (thick scans only), dense (also thin ones);"
        " from trained weights: further (lower learning rate) or axial (only the axial network)"
    )  # fmt: skip
    command.add_argument(
        "--from", dest="start", default="scratch", metavar="NAME|FILE|scratch", help="weights to start from"
    )
    duration = command.add_mutually_exclusive_group()
    duration.add_argument("--minutes", type=float, metavar="M", help="total training time (default: 60)")
    duration.add_argument("--steps", type=int, metavar="N", help="instead of minutes: reproducible")
    command.add_argument(
        "--holdout", nargs="*", default=[], metavar="SCAN", help="names or paths of validation scans, which are not"
        " trained on; `none` for none (default: a tenth of the patients)"
    )  # fmt: skip
    command.add_argument("--resume", action="store_true", help="resume an interrupted run with the same options")
    command.add_argument("--seed", type=int, default=0, help="seed of crops, initial weights, and held-out patients")
    command.add_argument(
        "--preset", default="compact", help="size of the networks: compact, quality, published; tiny for tests"
    )
    command.add_argument(
        "--into", metavar="PRESET", help="with --from: use networks of this preset, initialized from those that fit;"
        " the others start from scratch"
    )  # fmt: skip
    command.add_argument("--sources", metavar="CSV", help="table with thickness, source and license of each scan")
    _add_place(command)


def add_adapt(commands: Any, add: Add) -> None:
    """Add the command `adapt`."""
    command = add(commands, "adapt", _adapt, "fine-tune a model on one scan for a few minutes, for use on that scan")
    command.add_argument("cohort", metavar="SCAN", help="NRRD, NIfTI or MHA/MHD file, or DICOM folder")
    command.add_argument("--out", required=True, metavar="MODEL.pt")
    duration = command.add_mutually_exclusive_group()
    duration.add_argument("--minutes", type=float, metavar="M", help="training time (default: 3)")
    duration.add_argument("--steps", type=int, metavar="N", help="instead of minutes: reproducible")
    command.add_argument(
        "--from", dest="start", default=DEFAULT_MODEL, metavar="NAME|FILE", help="weights to start from"
    )
    command.add_argument(
        "--thickness", type=float, metavar="MM", help="slice thickness, if the file does not contain it"
    )
    command.add_argument("--resume", action="store_true", help="resume an interrupted run with the same options")
    command.add_argument("--seed", type=int, default=0)
    _add_place(command)


def _add_place(command: argparse.ArgumentParser) -> None:
    """Add the options that both commands share."""
    command.add_argument("--device", default="auto", metavar="auto|cpu|mps|cuda[:n]")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument(
        "--cache", metavar="FOLDER", help="folder for preprocessed scans (default: in the user's cache)"
    )
    command.add_argument("--events", action="store_true", help="one JSON object per line instead of progress bars")


def _adapt(options: argparse.Namespace) -> int:
    from .train import adapt

    return run_and_report(options, lambda emit: adapt(options, emit))


def _train(options: argparse.Namespace) -> int:
    from .train import train

    return run_and_report(options, lambda emit: train(options, emit))


def run_and_report(options: argparse.Namespace, job: Callable[[Emit], int]) -> int:
    """Run a job with progress bars, or with events on standard output; with several ranks, only rank 0 reports."""
    if rank_and_size()[0]:
        return job(lambda event, **fields: None)
    if not options.events:
        with Bars() as bars:
            return job(bars.emit)
    emit = emitter(sys.stdout)
    try:
        return job(emit)
    except SynthesisError as error:
        emit("failed", reason=error.reason, message=str(error))
        return error.exit_status
    except KeyboardInterrupt:
        emit("failed", reason="interrupted", message="The run was stopped; continue with --resume.")
        return REASONS["interrupted"]
