"""The request for a DICOM series of a result that is there already. Torch-free; a panel writes it, a worker reads it.

{"version": 1, "job": "export", "input": "thin.nrrd", "output": "folder", "source": "dicom_folder"}
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExportRequest:
    """Write a result, a volume file whose header says how it was made, as a derived DICOM series.

    Attributes:
        input: NRRD or MHA file.
        output: folder to make.
        source: what the result was made from, where that is DICOM: its folder, one of its files, or a text file (.txt) with
            one path a line.
        series: which one, where the source holds several.
        outputs: what was made beside the result, by its name in `synthesis.outputs`, each with its volume file.
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
