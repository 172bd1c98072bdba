"""The command `export`, and the options of every command that writes DICOM series. Torch-free, as `--help` is."""

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
    """Options of commands whose results may be DICOM series."""
    command.add_argument("--format", default=FILE, choices=FORMATS, help="dicom: a derived CT series in the folder OUT")
    add_names(command)


def add_names(command: argparse.ArgumentParser) -> None:
    """Options that say whose a DICOM series is."""
    command.add_argument("--patient-id", metavar="ID", help="for DICOM, where the scan does not say it")
    command.add_argument("--patient-name", metavar="FAMILY^GIVEN", help="for DICOM, where the scan does not say it")
    command.add_argument("--study-uid", metavar="UID", help="the DICOM study to belong to, where the scan has none")
    command.add_argument("--uid-seed", metavar="TEXT", help="the same result gets the same DICOM UIDs each time")


def add_export(commands: Any, add: Add) -> None:
    """The command `export`."""
    command = add(commands, "export", _export, "write a result that is there already as a derived DICOM series")
    command.add_argument("input", metavar="RESULT", help="NRRD or MHA file that ctslices or the module wrote")
    command.add_argument("output", metavar="OUT", help="folder to make")
    command.add_argument(
        "--source", metavar="DICOM", help="what it was made from: a folder, or a text file (.txt) with one path a line"
    )
    command.add_argument("--series", metavar="UID", help="which DICOM series, where the source holds several")
    for name, output in OUTPUTS.items():
        text = f"volume file with the {output.content} of the result, to become a series beside it"
        command.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", help=text)
    add_names(command)
    command.add_argument("--overwrite", action="store_true", help="replace an earlier DICOM result")


def _export(options: argparse.Namespace) -> None:
    from .export_dicom import export

    outputs = {name: path for name in OUTPUTS if (path := getattr(options, name)) is not None}
    fields = {name: getattr(options, name) for name in ExportRequest.__dataclass_fields__ if name != "outputs"}
    request = ExportRequest(**fields, outputs=outputs)
    with Bars() as bars:
        done = export(request, bars.emit)
    print(f"{done['output']}: {done['slices']} slices, {done['acquired']} of them acquired.")
    print("Synthesized slices are estimates; for research use.")
