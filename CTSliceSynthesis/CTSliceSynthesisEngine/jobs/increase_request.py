"""Request for one run: a JSON object with a fixed version. Torch-free; written by a panel, read by a worker.

    {"version": 1, "job": "increase", "input": "thick.nrrd", "output": "thin.nrrd", "factor": 4}

Every other field has a default, see `IncreaseRequest`. An unknown field, a wrong type or another version is refused:
a misspelled option must not be ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import SynthesisError
from ..regular_file import read_regular
from ..synthesis.options import AUTO, ESTIMATE, KEEP, THREE_VIEW

VERSION = 1

FILE, DICOM = FORMATS = ("file", "dicom")
"""Format of the result: a volume file of the type given by its suffix, or a folder with a DICOM series."""

_LARGEST = 1 << 20  # bytes


@dataclass(frozen=True)
class IncreaseRequest:
    """Increase the slice resolution of one scan.

    Attributes:
        input: volume file or DICOM folder.
        output: volume file to write, or folder for a DICOM series.
        factor, spacing, isotropic: at most one; slice resolution, see `synthesis.options`.
        exact: match the spacing exactly instead of approximately.
        labels, output_labels: both or none; a label map of the scan, and the file for its copy on the new grid.
        method: "three-view", "cubic", "bspline" or "linear".
        model: bundled name or weights file, for "three-view"; None: the one for the device, see `registry.default_model`.
        device: "auto", "cpu", "cuda" or "cuda:n".
        outputs: additional outputs, name in `synthesis.outputs` -> volume file; with DICOM, the folder of that name in
            `output`.
        acquired: "keep", or "thin" to also replace the acquired slices by thin estimates, see
            `synthesis.acquired`.
        precision: "auto", "float32" or "bfloat16", see `synthesis.devices`.
        texture: "estimate", or "even": new slices have the noise texture of acquired ones, see `synthesis.texture`.
        thickness: slice thickness of the input in mm; None uses the value in the file.
        axis: slice axis 0, 1 or 2; None detects it.
        series: DICOM series, if a folder contains several.
        resample_irregular: resample unevenly spaced slices to a regular grid first.
        overwrite: replace existing outputs.
        accept_isotropic: continue if the slice spacing already equals the pixel spacing.
        only_ct: refuse inputs that do not look like HU, and existing results, instead of emitting a remark.
        accept_failed_model: use a model that failed the validation after its training.
        format: "file" or "dicom".
        patient_id, patient_name, study_uid: for DICOM, if the input does not contain them; without a study, a new one.
        uid_seed: for DICOM, any text; makes the UIDs of a result reproducible; None draws random UIDs.
    """

    input: str
    output: str
    factor: int | None = None
    spacing: float | None = None
    isotropic: bool = False
    exact: bool = False
    labels: str | None = None
    output_labels: str | None = None
    method: str = THREE_VIEW
    model: str | None = None
    device: str = "auto"
    outputs: dict[str, str] = field(default_factory=dict)
    texture: str = ESTIMATE
    acquired: str = KEEP
    precision: str = AUTO
    thickness: float | None = None
    axis: int | None = None
    series: str | None = None
    resample_irregular: bool = False
    overwrite: bool = False
    accept_isotropic: bool = False
    accept_failed_model: bool = False
    only_ct: bool = False
    format: str = FILE
    patient_id: str | None = None
    patient_name: str | None = None
    study_uid: str | None = None
    uid_seed: str | None = None


KINDS: Mapping[str, type] = {"increase": IncreaseRequest}
"""Job -> dataclass of its request, with plain values."""


def to_json(request: Any, job: str = "increase") -> str:
    """Return the text of a request file."""
    return json.dumps({"version": VERSION, "job": job, **asdict(request)}, indent=2)


def read_request(path: str | Path, kinds: Mapping[str, type] = KINDS) -> Any:
    """Read a request file: one of `kinds`.

    Raises:
        SynthesisError: "bad-request".
    """
    try:
        values = json.loads(read_regular(path, _LARGEST).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SynthesisError(
            "bad-request", f"The request {path} cannot be read as JSON ({reason}): write it again."
        ) from error
    return from_values(values, kinds)


def from_values(values: Any, kinds: Mapping[str, type] = KINDS) -> Any:
    """Return the request, one of `kinds`, from parsed JSON.

    Raises:
        SynthesisError: "bad-request".
    """
    if not isinstance(values, Mapping):
        raise SynthesisError("bad-request", f"A request is a JSON object, not {type(values).__name__}: write it again.")
    job = values.get("job")
    if values.get("version") != VERSION or not isinstance(job, str) or job not in kinds:
        actual = f"version {values.get('version')!r} and job {job!r}"
        known = " or ".join(f'"{name}"' for name in kinds)
        raise SynthesisError("bad-request", f"A request has version {VERSION} and job {known}, not {actual}.")
    options = {name: value for name, value in values.items() if name not in ("version", "job")}
    for problem in _problems(options, kinds[job]):
        raise SynthesisError("bad-request", problem)
    return kinds[job](**options)


_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
_NAMED_FILES = "dict[str, str]"


def _problems(options: Mapping[str, Any], kind: type) -> list[str]:
    """Return sentences that describe invalid fields; empty if there are none."""
    known = {known_field.name: known_field for known_field in fields(kind)}
    problems = [
        f"A request has no field {name!r}: its fields are {', '.join(known)}." for name in options if name not in known
    ]
    for name, known_field in known.items():
        if name not in options:
            if known_field.default is MISSING and known_field.default_factory is MISSING:
                problems.append(f"A request needs the field {name!r}: add it.")
            continue
        value = options[name]
        if known_field.type == _NAMED_FILES:
            is_valid = isinstance(value, dict) and all(type(path) is str for path in value.values())
        else:
            type_name, _, optional = str(known_field.type).partition(" | ")
            is_valid = type(value) in _TYPES[type_name] or (bool(optional) and value is None)
        if not is_valid:
            problems.append(
                f"The field {name!r} of a request is of type {known_field.type}, not {value!r}: correct it."
            )
    return problems
