"""DICOM output of a run: checks before the synthesis, and writing after it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from ..synthesis.options import KEEP
from ..synthesis.outputs import OUTPUTS
from ..synthesis.pipeline import Result
from ..synthesis.places import Places
from ..synthesis.plan import Plan
from ..volume.dicom import dicom_template
from ..volume.dicom.dicom_result import check_folder
from ..volume.dicom.dicom_series import CONTENT, Derivation, Part, check_grid, write_series
from ..volume.dicom.dicom_template import Named, Template
from ..volume.files import WRITABLE, Scan
from ..volume.image_files import image_file
from .increase_request import DICOM, FORMATS, IncreaseRequest


def check_format(request: IncreaseRequest) -> None:
    """Raise SynthesisError "bad-option" for DICOM options without the DICOM format, or an unknown format."""
    if request.format not in FORMATS:
        message = f"The format is one of {', '.join(FORMATS)}, not {request.format!r}"
        raise SynthesisError("bad-option", f"{message}; give one of these.")
    dicom_only = (request.patient_id, request.patient_name, request.study_uid, request.uid_seed)
    if request.format != DICOM and any(value is not None for value in dicom_only):
        message = "Patient, study and UID seed apply only to a DICOM series, and none is requested"
        raise SynthesisError("bad-option", f"{message}; add --format dicom, or leave them out.")


def template(request: IncreaseRequest, scan: Scan, plan: Plan) -> Template:
    """Check the DICOM output, and return the template: what the series inherits from its source.

    Raises:
        SynthesisError: "bad-option", "bad-input", "bad-geometry" or "cannot-write".
    """
    output = Path(request.output)
    if image_file.suffix(output) in WRITABLE:
        message = f"A DICOM result is a folder, but {output} is named like a file"
        raise SynthesisError("cannot-write", f"{message}; give the name of a folder, or leave out --format dicom.")
    check_folder(output, overwrite=request.overwrite, source=Path(request.input))
    for subfolder, path in request.outputs.items():
        if subfolder in OUTPUTS and os.path.realpath(path) != os.path.realpath(output / subfolder):
            message = f"The {OUTPUTS[subfolder].content} is a series within the DICOM result, {output / subfolder}, not {path}"
            raise SynthesisError("cannot-write", f"{message}; give that name.")
    check_grid(plan.output_grid)
    named = Named(request.patient_id, request.patient_name, request.study_uid)
    if scan.acquired is None:
        return dicom_template.of_patient(named, request.input)
    if plan.grid.slice_axis != 2:
        message = "A series that is derived from DICOM images has their planes, but another slice axis is requested"
        raise SynthesisError("bad-option", f"{message}; leave out --axis, or write NRRD.")
    return dicom_template.of_images(scan.acquired.images, named)


def write(
    request: IncreaseRequest, result: Result, origin: Mapping[str, str], template: Template, scan: Scan, plan: Plan
) -> None:
    """Write the series, and those of expected error and disagreement inside its folder, atomically.

    Args:
        origin: provenance of the result.
        template: as returned by `template`.
    """
    at = np.arange(plan.grid.slice_count) if scan.acquired is None else scan.acquired.at
    derivation = Derivation(
        template=template,
        places=np.interp(Places(plan.grid.slice_count, plan.factor).at, np.arange(len(at)), at),
        keeps=plan.acquired == KEEP,
        thickness=scan.header.grid.thickness,
        new_thickness=plan.output_thickness,
        seed=request.uid_seed,
        of_result=bool(scan.header.origin),
    )
    extra_parts = [
        Part(volume, {**origin, CONTENT: OUTPUTS[name].content}, name) for name, volume in result.outputs.items()
    ]
    write_series(
        [Part(result.volume, origin), *extra_parts], Path(request.output), derivation, overwrite=request.overwrite
    )
