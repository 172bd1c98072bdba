"""Request to export an existing result as a DICOM series. Torch-free; written by a panel, read by a worker.

{"version": 1, "job": "export", "input": "thin.nrrd", "output": "folder", "source": "dicom_folder"}
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExportRequest:
    """Write a result, a volume file with provenance in its header, as a derived DICOM series.

    Attributes:
        input: NRRD or MHA file.
        output: folder to create.
        source: DICOM source of the result, if any: its folder, one of its files, or a text file (.txt) with one path per
            line.
        series: DICOM series, if the source contains several.
        outputs: additional outputs of the run, name in `synthesis.outputs` -> volume file.
        patient_id, patient_name, study_uid, uid_seed, overwrite: as in `IncreaseRequest`.
    """

    input: str
    output: str
    source: str | None = None
    series: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    patient_id: str | None = None
    patient_name: str | None = None
    study_uid: str | None = None
    uid_seed: str | None = None
    overwrite: bool = False
