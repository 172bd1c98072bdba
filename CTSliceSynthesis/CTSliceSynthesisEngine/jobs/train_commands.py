"""The commands `train` and `adapt`: their options, and how they tell what happens. Torch-free, as `--help` is."""

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
    """The command `train`."""
    command = add(commands, "train", _train, "train a model on a cohort of scans")
    command.add_argument(
        "cohort", metavar="COHORT", help="folder of DICOM, NRRD, NIfTI or MHA scans, searched with its subfolders; or a"
        " text file with one path a line"
    )  # fmt: skip
    command.add_argument("--out", required=True, metavar="MODEL.pt")
    command.add_argument(
        "--recipe", default="auto", help="auto, published, anchored (thick scans alone), dense (thin ones as well);"
        " from trained weights: further (in smaller steps) or axial (the axial network alone)"
    )  # fmt: skip
    command.add_argument(
        "--from", dest="start", default="scratch", metavar="NAME|FILE|scratch", help="weights to start from"
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help="of training in all (60 if nothing is said)")
    length.add_argument("--steps", type=int, metavar="N", help="instead of minutes: the result can be repeated exactly")
    command.add_argument(
        "--holdout", nargs="*", default=[], metavar="SCAN", help="names or paths of scans to measure on, not to learn"
        " from; `none` for none; a tenth of the patients if nothing is said"
    )  # fmt: skip
    command.add_argument("--resume", action="store_true", help="go on where a run of the same options was interrupted")
    command.add_argument("--seed", type=int, default=0, help="of crops, first weights, and held-out patients")
    command.add_argument("--preset", default="compact", help="networks: compact, quality, published; for tests tiny")
    command.add_argument(
        "--into", metavar="PRESET", help="with --from: networks of this preset, which begin with the answers of those that fit"
        " into them; the others start from scratch"
    )  # fmt: skip
    command.add_argument("--sources", metavar="CSV", help="what is known of each scan: thickness, source, licence")
    _add_place(command)


def add_adapt(commands: Any, add: Add) -> None:
    """The command `adapt`."""
    command = add(commands, "adapt", _adapt, "go on training a model for a few minutes on one scan, for that scan")
    command.add_argument("cohort", metavar="SCAN", help="NRRD, NIfTI or MHA/MHD file, or DICOM folder")
    command.add_argument("--out", required=True, metavar="MODEL.pt")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help="3 if nothing is said")
    length.add_argument("--steps", type=int, metavar="N", help="instead of minutes: the result can be repeated exactly")
    command.add_argument(
        "--from", dest="start", default=DEFAULT_MODEL, metavar="NAME|FILE", help="weights to start from"
    )
    command.add_argument(
        "--thickness", type=float, metavar="MM", help="slice thickness, where the file does not say it"
    )
    command.add_argument("--resume", action="store_true", help="go on where a run of the same options was interrupted")
    command.add_argument("--seed", type=int, default=0)
    _add_place(command)


def _add_place(command: argparse.ArgumentParser) -> None:
    """Options of both commands."""
    command.add_argument("--device", default="auto", metavar="auto|cpu|mps|cuda[:n]")
    command.add_argument("--threads", type=int, metavar="N", help="processor threads; all cores if not said")
    command.add_argument("--cache", metavar="FOLDER", help="for converted scans, in the user's cache if not said")
    command.add_argument("--events", action="store_true", help="one JSON object a line instead of progress bars")


def _adapt(options: argparse.Namespace) -> int:
    from .train import adapt

    return told(options, lambda emit: adapt(options, emit))


def _train(options: argparse.Namespace) -> int:
    from .train import train

    return told(options, lambda emit: train(options, emit))


def told(options: argparse.Namespace, job: Callable[[Emit], int]) -> int:
    """Run a job with bars, or with events on standard output; of several processes, the first one speaks."""
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
        emit("failed", reason="interrupted", message="The run was stopped; go on with --resume.")
        return REASONS["interrupted"]
