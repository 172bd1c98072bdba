"""The command `export`, and the options of all commands that write DICOM series. Torch-free, so that `--help` is fast."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..synthesis.outputs import OUTPUTS
from .export_request import ExportRequest
from .increase_request import FILE, FORMATS
from .progress_bars import Bars

Add = Callable[[Any, str, Callable[[argparse.Namespace], int | None], str], argparse.ArgumentParser]


def add_format(command: argparse.ArgumentParser) -> None:
    """Add the options of commands whose results may be DICOM series."""
    command.add_argument("--format", default=FILE, choices=FORMATS, help="dicom: a derived CT series in the folder OUT")
    add_names(command)


def add_names(command: argparse.ArgumentParser) -> None:
    """Add the options that identify patient and study of a DICOM series."""
    command.add_argument("--patient-id", metavar="ID", help="for DICOM, if the scan does not contain it")
    command.add_argument("--patient-name", metavar="FAMILY^GIVEN", help="for DICOM, if the scan does not contain it")
    command.add_argument("--study-uid", metavar="UID", help="DICOM study of the result, if the scan has none")
    command.add_argument("--uid-seed", metavar="TEXT", help="makes the DICOM UIDs reproducible for the same result")


def add_export(commands: Any, add: Add) -> None:
    """Add the command `export`."""
    command = add(commands, "export", _export, "write an existing result as a derived DICOM series")
    command.add_argument("input", metavar="RESULT", help="NRRD or MHA file that ctslices or the module wrote")
    command.add_argument("output", metavar="OUT", help="folder to create")
    command.add_argument(
        "--source",
        metavar="DICOM",
        help="DICOM source of the result: a folder, or a text file (.txt) with one path per line",
    )
    command.add_argument("--series", metavar="UID", help="DICOM series, if the source contains several")
    for name, output in OUTPUTS.items():
        text = f"volume file with the {output.content} of the result, exported as an additional series"
        command.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", help=text)
    add_names(command)
    command.add_argument("--overwrite", action="store_true", help="replace an earlier DICOM result")


def _export(options: argparse.Namespace) -> None:
    from .export_dicom import export

    outputs = {name: path for name in OUTPUTS if (path := getattr(options, name)) is not None}
    fields = {name: getattr(options, name) for name in ExportRequest.__dataclass_fields__ if name != "outputs"}
    request = ExportRequest(**fields, outputs=outputs)
    with Bars() as bars:
        result = export(request, bars.emit)
    print(f"{result['output']}: {result['slices']} slices, {result['acquired']} of them acquired.")
    print("Synthesized slices are estimates; for research use.")
