"""How a DICOM file says that it is a result of ours, and how it was made: as a piece of contributing equipment.

The item (0018,A001) is DICOM's own place for that, and survives where private elements are removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from pydicom.dataset import Dataset

from .dicom_file import DamagedError, DicomFile, damage

NAME = "CTSliceSynthesis"
PROCESSING_EQUIPMENT = ("109102", "Processing Equipment")


def equipment(origin: Mapping[str, str], when: datetime) -> Dataset:
    """The item of the Contributing Equipment Sequence.

    Args:
        origin: how the result was made, with its "version".
        when: it was.
    """
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(*PROCESSING_EQUIPMENT)]
    item.Manufacturer = item.ManufacturerModelName = NAME
    item.SoftwareVersions = origin.get("version", "")
    item.ContributionDateTime = when.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = json.dumps(dict(origin), sort_keys=True)
    return item


def origin(file: DicomFile) -> dict[str, str]:
    """How a result of ours was made; empty for any other file."""
    if "ContributingEquipmentSequence" not in file.data:
        return {}
    try:
        with damage():
            items = file.data.get("ContributingEquipmentSequence") or ()
            own = [item for item in items if item.get("ManufacturerModelName") == NAME]
            text = str(own[-1].get("ContributionDescription") or "") if own else "{}"
    except DamagedError:  # whatever else is wrong with that file, the reader of its image will say
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError):  # shortened by a program on its way
        return {"note": text}


def coded(value: str, meaning: str) -> Dataset:
    """A code of DICOM's own scheme (PS3.16, annex D) as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
