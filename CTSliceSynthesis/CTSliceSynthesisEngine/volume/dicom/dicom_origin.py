"""Provenance of results in DICOM files, stored as contributing equipment.

(0018,A001) is DICOM's standard element for this, and survives the removal of private elements.
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
    """Create the item of the Contributing Equipment Sequence.

    Args:
        origin: how the result was made, including "version".
        when: time of creation.
    """
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(*PROCESSING_EQUIPMENT)]
    item.Manufacturer = item.ManufacturerModelName = NAME
    item.SoftwareVersions = origin.get("version", "")
    item.ContributionDateTime = when.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = json.dumps(dict(origin), sort_keys=True)
    return item


def origin(file: DicomFile) -> dict[str, str]:
    """Return how a result of this program was made; empty for any other file."""
    if "ContributingEquipmentSequence" not in file.data:
        return {}
    try:
        with damage():
            items = file.data.get("ContributingEquipmentSequence") or ()
            own = [item for item in items if item.get("ManufacturerModelName") == NAME]
            text = str(own[-1].get("ContributionDescription") or "") if own else "{}"
    except DamagedError:  # reading the image reports what is wrong with the file
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError):  # truncated by another program
        return {"note": text}


def coded(value: str, meaning: str) -> Dataset:
    """Create a code sequence item with a code of DICOM's own scheme (PS3.16, annex D)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
