"""The command line, `ctslices`: arguments in, events as progress bars and sentences out."""

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

_READER_GONE = 128 + 13  # as the shell says of programs that end by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status."""
    # Threads of PyTorch that wait for each other spin; on a machine with other work they spin in the place of what they
    # wait for, and a run takes three times longer. Must be said before PyTorch is loaded; read by GNU's OpenMP alone.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    with streams.usable():
        options = _parser().parse_args(arguments)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP; under nohup it is ignored, and stays so
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        status, sentence = _ended(options)
        if sentence:
            print(f"ctslices: {sentence}", file=sys.stderr)
    return status


def _ended(options: argparse.Namespace) -> tuple[int, str]:
    """Run the command: its exit status, and what to say where it failed."""
    try:
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status, ""
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
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
    """Let a polite kill clean up as Ctrl-C does."""
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
        help="also carry a label map of the scan to the new grid",
    )
    command.add_argument("--series", metavar="UID", help="which DICOM series, where a folder holds several")
    add_format(command)
    command.add_argument(
        "--only-ct", action="store_true", help="refuse what does not look like a CT, and results of ctslices"
    )
    _add_making(command)


def _add_making(command: argparse.ArgumentParser) -> None:
    """Options of every command that makes thin scans."""
    fineness = command.add_mutually_exclusive_group()
    fineness.add_argument(
        "--factor", type=int, metavar="N", help=f"{FACTORS[0]} to {FACTORS[-1]} times finer (2 if nothing is said)"
    )
    fineness.add_argument("--spacing", type=float, metavar="MM", help="the slice spacing to come near")
    fineness.add_argument("--isotropic", action="store_true", help="come near the pixel spacing")
    command.add_argument(
        "--exact", action="store_true", help="reach that spacing; only slices that coincide are acquired ones then"
    )
    command.add_argument("--method", default=THREE_VIEW, choices=METHODS)
    _add_model(command)
    _add_reading(command)
    command.add_argument(
        "--resample-irregular", action="store_true", help="bring unevenly spaced slices onto an even grid"
    )
    command.add_argument(
        "--texture", default=ESTIMATE, choices=TEXTURES, help="even: new slices as grainy as acquired ones, for reading"
    )
    command.add_argument(
        "--acquired", default=KEEP, choices=ACQUIRED, help="thin: slices as thin as the new ones in the places of the"
        " acquired ones too"
    )  # fmt: skip
    command.add_argument("--overwrite", action="store_true", help="replace existing output files")
    command.add_argument("--accept-isotropic", action="store_true", help="go on where nothing is gained")
    command.add_argument(
        "--accept-failed-model", action="store_true", help="use a model that failed when it was measured"
    )


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="a bundled model or a weights file; if nothing is said, the bundled one for the device",
    )
    command.add_argument("--device", default="auto", metavar="auto|cpu|mps|cuda[:n]")
    command.add_argument(
        "--precision",
        default=AUTO,
        choices=PRECISIONS,
        help="of the networks; auto: what this kind of device is fast in",
    )


def _add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--thickness", type=float, metavar="MM", help="slice thickness, where the file does not say it"
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
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="scans at a time")
    command.add_argument("--json", action="store_true", help="print a JSON object for each scan, one a line")
    _add_making(command)


def _increase_all(options: argparse.Namespace) -> int:
    from .increase_all import increase_all

    given = {name: getattr(options, name) for name in IncreaseRequest.__dataclass_fields__ if hasattr(options, name)}
    template = IncreaseRequest(input="", output="", **given)
    summary = increase_all(options.folder, options.out, template, options.jobs, *([_print_json] * options.json))
    count = f"{summary.done} done, {summary.skipped} were there already, {len(summary.failures)} failed."
    print(count, file=sys.stderr if options.json else sys.stdout)
    for sentence in summary.remarks:
        print(sentence, file=sys.stderr)
    for sentence in summary.left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    for sentence in summary.failures:
        print(f"ctslices: {sentence}", file=sys.stderr)
    return REASONS["bad-input"] if summary.failures else 0


def _print_json(facts: dict[str, Any]) -> None:
    """One line, in one piece: another process of the batch may write to the same terminal."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _add_info(commands: Any) -> None:
    command = _command(commands, "info", _info, "tell what a scan is, and what each factor would make of it")
    command.add_argument("input", metavar="IN")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--series", metavar="UID", help="which DICOM series, where a folder holds several")
    _add_reading(command)


def _info(options: argparse.Namespace) -> None:
    from .info import as_text, info

    facts = info(options.input, series=options.series, axis=options.axis, thickness=options.thickness)
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))


def _add_evaluate(commands: Any) -> None:
    text = "make a thin scan thick, restore it, and score it against the classical methods"
    command = _command(commands, "evaluate", _evaluate, text)
    command.add_argument("truth", metavar="TRUTH", help="a scan with thin slices")
    command.add_argument("--factor", type=int, required=True, choices=FACTORS, metavar="N")
    command.add_argument(
        "--profile", default="gap", choices=PROFILES, help="drop slices, or average them over boxes or bells"
    )
    command.add_argument(
        "--out", default="evaluation", metavar="FOLDER", help="for report.json, report.md, picture.png"
    )
    command.add_argument("--volumes", action="store_true", help="also write the thick, thin and disagreement volume")
    command.add_argument("--series", metavar="UID", help="which DICOM series, where a folder holds several")
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
    found = find_bundled(options.name)
    if found is None:
        names = ", ".join(model.name for model in bundled_models())
        raise SynthesisError("bad-model", f"There is no bundled model {options.name!r}: choose from {names}.")
    print(json.dumps({"sha256": found.sha256, **found.card}, indent=2, ensure_ascii=False))


def _add_run(commands: Any) -> None:
    command = _command(commands, "run", _run, "run a request file, and answer with one JSON object a line")
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
