"""The command line, `ctslices`: parses arguments, and shows events as progress bars and messages."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from ..errors import REASONS, SynthesisError
from ..networks.registry import bundled_models, find_bundled
from ..synthesis.options import ACQUIRED, AUTO, ESTIMATE, FACTORS, KEEP, METHODS, PRECISIONS, TEXTURES, THREE_VIEW
from ..synthesis.outputs import OUTPUTS
from ..version import VERSION
from ..volume.thinning import PROFILES
from . import streams
from .dicom_commands import add_export, add_format
from .events import emitter
from .failures import failure
from .increase_request import IncreaseRequest
from .progress_bars import Bars
from .train_commands import add_adapt, add_train

_READER_GONE = 128 + 13  # the shell's exit status for a program ended by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    # PyTorch's threads spin while waiting for each other. On a machine with other load, spinning threads block the ones they
    # wait for, and a run takes three times longer. Must be set before PyTorch is loaded; only GNU OpenMP reads it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    with streams.usable():
        options = _parser().parse_args(arguments)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP; under nohup it stays ignored
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        status, sentence = _run_command(options)
        if sentence:
            print(f"ctslices: {sentence}", file=sys.stderr)
    return status


def _run_command(options: argparse.Namespace) -> tuple[int, str]:
    """Run the command; return its exit status and an error message, empty on success."""
    try:
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status, ""
    except BrokenPipeError:  # the reader of our output, such as `head`, has exited
        streams.discard(sys.stdout)
        return _READER_GONE, ""
    except KeyboardInterrupt:
        return REASONS["interrupted"], "stopped; no result was written."
    except Exception as error:
        reason, sentence = failure(error)
        if isinstance(error, OSError):
            streams.discard(sys.stdout)
        return REASONS[reason], sentence


def _stop(signum: int, frame: FrameType | None) -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that the run cleans up."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ctslices",
        description="Thin CT slices from thick ones. Synthesized slices are estimates; for research use.",
    )
    parser.add_argument("--version", action="version", version=f"ctslices {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_increase, _add_increase_all, _add_info, _add_evaluate, _add_models, _add_run):
        add(commands)
    add_export(commands, _command)
    add_train(commands, _command)
    add_adapt(commands, _command)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.set_defaults(run=run)
    return command


def _add_increase(commands: Any) -> None:
    command = _command(commands, "increase", _increase, "increase the slice resolution of a scan")
    command.add_argument("input", metavar="IN", help="NRRD, NIfTI or MHA/MHD file, or DICOM folder")
    command.add_argument("output", metavar="OUT", help="NRRD, NIfTI or MHA file, or folder for a DICOM series")
    for name, output in OUTPUTS.items():
        command.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", help=output.help)
    command.add_argument(
        "--labels",
        nargs=2,
        metavar=("IN_LABELS", "OUT_LABELS"),
        help="also transfer a label map of the scan to the new grid",
    )
    command.add_argument("--series", metavar="UID", help="DICOM series, if a folder contains several")
    add_format(command)
    command.add_argument(
        "--only-ct", action="store_true", help="refuse inputs that do not look like a CT, and results of ctslices"
    )
    _add_synthesis(command)


def _add_synthesis(command: argparse.ArgumentParser) -> None:
    """Options of every command that synthesizes slices."""
    resolution = command.add_mutually_exclusive_group()
    resolution.add_argument(
        "--factor", type=int, metavar="N", help=f"{FACTORS[0]} to {FACTORS[-1]} times finer (default: 2)"
    )
    resolution.add_argument("--spacing", type=float, metavar="MM", help="approximate slice spacing")
    resolution.add_argument("--isotropic", action="store_true", help="slice spacing close to the pixel spacing")
    command.add_argument(
        "--exact",
        action="store_true",
        help="match that spacing exactly; only acquired slices that coincide with a new one are kept",
    )
    command.add_argument("--method", default=THREE_VIEW, choices=METHODS)
    _add_model(command)
    _add_reading(command)
    command.add_argument(
        "--resample-irregular", action="store_true", help="resample unevenly spaced slices to a regular grid"
    )
    command.add_argument(
        "--texture",
        default=ESTIMATE,
        choices=TEXTURES,
        help="even: give new slices the noise texture of acquired ones, for reading",
    )
    command.add_argument(
        "--acquired", default=KEEP, choices=ACQUIRED, help="thin: also replace the acquired slices by"
        " thin estimates"
    )  # fmt: skip
    command.add_argument("--overwrite", action="store_true", help="replace existing output files")
    command.add_argument("--accept-isotropic", action="store_true", help="continue if the scan is already isotropic")
    command.add_argument("--accept-failed-model", action="store_true", help="use a model that failed its validation")


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="a bundled model or a weights file (default: the bundled model for the device)",
    )
    command.add_argument("--device", default="auto", metavar="auto|cpu|mps|cuda[:n]")
    command.add_argument(
        "--precision",
        default=AUTO,
        choices=PRECISIONS,
        help="precision of the networks; auto: the fast one on this kind of device",
    )


def _add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--thickness", type=float, metavar="MM", help="slice thickness, if the file does not contain it"
    )
    command.add_argument("--axis", type=int, choices=(0, 1, 2), help="the slice axis: i, j or k")


def _increase(options: argparse.Namespace) -> None:
    from .increase import increase

    outputs = {name: path for name in OUTPUTS if (path := getattr(options, name)) is not None}
    options.labels, options.output_labels = options.labels or (None, None)
    fields = {name: getattr(options, name) for name in IncreaseRequest.__dataclass_fields__ if name != "outputs"}
    with Bars() as bars:
        result = increase(IncreaseRequest(**fields, outputs=outputs), bars.emit)
    size = " x ".join(map(str, result["size"]))
    print(
        f"{result['output']}: {size} voxels, a slice every {result['slice_spacing']:.4g} mm, in {result['seconds']:.1f} s"
    )
    print("Synthesized slices are estimates; for research use.")


def _add_increase_all(commands: Any) -> None:
    command = _command(
        commands, "increase-all", _increase_all, "increase the slice resolution of every scan of a folder"
    )
    command.add_argument("folder", metavar="FOLDER", help="searched with its subfolders")
    command.add_argument("out", metavar="OUT", help="folder for the results: NRRD files, or folders of DICOM series")
    add_format(command)
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="number of scans processed at a time")
    command.add_argument("--json", action="store_true", help="print one JSON object per scan and line")
    _add_synthesis(command)


def _increase_all(options: argparse.Namespace) -> int:
    from .increase_all import increase_all

    fields = {name: getattr(options, name) for name in IncreaseRequest.__dataclass_fields__ if hasattr(options, name)}
    template = IncreaseRequest(input="", output="", **fields)
    summary = increase_all(options.folder, options.out, template, options.jobs, *([_print_json] * options.json))
    count = f"{summary.done} done, {summary.skipped} already existed, {len(summary.failures)} failed."
    print(count, file=sys.stderr if options.json else sys.stdout)
    for sentence in summary.remarks:
        print(sentence, file=sys.stderr)
    for sentence in summary.left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    for sentence in summary.failures:
        print(f"ctslices: {sentence}", file=sys.stderr)
    return REASONS["bad-input"] if summary.failures else 0


def _print_json(facts: dict[str, Any]) -> None:
    """Write one line in a single call, since another process of the batch may write to the same terminal."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _add_info(commands: Any) -> None:
    command = _command(commands, "info", _info, "describe a scan, and the result of each upsampling factor")
    command.add_argument("input", metavar="IN")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--series", metavar="UID", help="DICOM series, if a folder contains several")
    _add_reading(command)


def _info(options: argparse.Namespace) -> None:
    from .info import as_text, info

    facts = info(options.input, series=options.series, axis=options.axis, thickness=options.thickness)
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))


def _add_evaluate(commands: Any) -> None:
    text = "thicken a thin-slice scan, restore it, and compare the result with the classical methods"
    command = _command(commands, "evaluate", _evaluate, text)
    command.add_argument("truth", metavar="TRUTH", help="a scan with thin slices")
    command.add_argument("--factor", type=int, required=True, choices=FACTORS, metavar="N")
    command.add_argument(
        "--profile", default="gap", choices=PROFILES, help="drop slices, or average them with a box or bell profile"
    )
    command.add_argument(
        "--out", default="evaluation", metavar="FOLDER", help="output folder for report.json, report.md, picture.png"
    )
    command.add_argument("--volumes", action="store_true", help="also write the thick, thin and disagreement volume")
    command.add_argument("--series", metavar="UID", help="DICOM series, if a folder contains several")
    _add_reading(command)
    _add_model(command)


def _evaluate(options: argparse.Namespace) -> None:
    from ..evaluation.report import text_table
    from .evaluate import EvaluateRequest, evaluate

    fields = {name: getattr(options, name) for name in EvaluateRequest.__dataclass_fields__}
    with Bars() as bars:
        comparison = evaluate(EvaluateRequest(**fields), bars)
    print(text_table(comparison))
    print(f"Written to {options.out}: report.json, report.md, picture.png" + (", volumes" if options.volumes else ""))


def _add_models(commands: Any) -> None:
    command = _command(commands, "models", _models, "list the bundled models, or show one's card")
    command.add_argument("name", nargs="?", metavar="NAME")


def _models(options: argparse.Namespace) -> None:
    if options.name is None:
        for model in bundled_models():
            print(f"{model.name:12s} {model.card['summary']}  SHA-256 {model.sha256[:16]}...")
        return
    bundled = find_bundled(options.name)
    if bundled is None:
        names = ", ".join(model.name for model in bundled_models())
        raise SynthesisError("bad-model", f"There is no bundled model {options.name!r}: choose from {names}.")
    print(json.dumps({"sha256": bundled.sha256, **bundled.card}, indent=2, ensure_ascii=False))


def _add_run(commands: Any) -> None:
    command = _command(commands, "run", _run, "run a request file, and report one JSON object per line")
    command.add_argument("request", metavar="REQUEST.json")


def _run(options: argparse.Namespace) -> int:
    emit = emitter(sys.stdout)
    try:
        from .run_request import run

        run(options.request, emit)
        return 0
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        reason, message = "interrupted", "The run was stopped; nothing was written."
    except Exception as error:
        reason, message = failure(error)
    emit("failed", reason=reason, message=message)
    return REASONS[reason]
