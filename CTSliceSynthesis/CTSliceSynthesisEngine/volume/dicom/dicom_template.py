"""Header data that a derived CT series inherits from its source images, and the required consistency checks.

Everything not listed here is dropped: private elements, overlays, procedure steps, references to other objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from pydicom.dataset import Dataset

from ...errors import SynthesisError
from ..dicom_slice import Slice
from .dicom_file import DamagedError, DicomFile, damage, numbers
from .dicom_pixels import open_unchanged

PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence",
    "PatientSpeciesDescription", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified", "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
)  # fmt: skip
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
    "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
)  # fmt: skip
SERIES = (
    "Laterality", "BodyPartExamined", "PatientPosition", "ProtocolName", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Manufacturer", "InstitutionName", "InstitutionAddress", "StationName",
    "InstitutionalDepartmentName", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions",
    "ContributingEquipmentSequence", "ContrastBolusAgent", "ContrastBolusRoute", "AnatomicRegionSequence",
)  # fmt: skip
IMAGE = (
    "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "KVP", "ScanOptions",
    "DataCollectionDiameter", "ReconstructionDiameter", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "GantryDetectorTilt", "TableHeight", "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure",
    "FilterType", "GeneratorPower", "FocalSpots", "ConvolutionKernel", "RevolutionTime", "SingleCollimationWidth",
    "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation", "SpiralPitchFactor", "BurnedInAnnotation",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod", "WindowCenter", "WindowWidth",
    "WindowCenterWidthExplanation", "PixelPaddingValue", "PhotometricInterpretation",
)  # fmt: skip
KEPT = (*PATIENT, *STUDY, *SERIES, *IMAGE)
"""Inherited elements, by DICOM module (PS3.3, table A.3-1); others are created anew, see `dicom_series`."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
REQUIRED = ("PatientID", *UIDS)
"""Needed by archives to identify the patient and the source of the derived series."""
OF_ONE_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID")
"""Must be equal in all images of a series; they differ after an incomplete anonymization."""
_UID = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
_LONGEST = 64  # characters of an identifier or a name


@dataclass(frozen=True)
class Named:
    """Patient and study given by the user; None if not given.

    Attributes:
        patient_id, patient_name: as in DICOM, the name as FAMILY^GIVEN.
        study_uid: of the study to add the series to.
    """

    patient_id: str | None = None
    patient_name: str | None = None
    study_uid: str | None = None

    def check(self) -> None:
        """Raise SynthesisError "bad-option" for values that DICOM does not allow."""
        for option, value in (("patient-id", self.patient_id), ("patient-name", self.patient_name)):
            if value is not None and not (
                value.strip() and len(value) <= _LONGEST and value.isprintable() and "\\" not in value
            ):
                message = f"The value of --{option} must be a text of 1 to {_LONGEST} characters without a backslash"
                raise SynthesisError("bad-option", f"{message}; correct it.")
        if self.study_uid is not None and not _UID.fullmatch(self.study_uid):
            message = f"The study UID must consist of up to 64 digits and periods, not {self.study_uid!r}"
            raise SynthesisError("bad-option", f"{message}; correct it, or leave it out.")

    def fill(self, headers: Sequence[Dataset]) -> None:
        """Set values missing in the headers; raise SynthesisError "bad-option" if they contradict the headers."""
        given = {"PatientID": self.patient_id, "PatientName": self.patient_name, "StudyInstanceUID": self.study_uid}
        for keyword, value in given.items():
            for header in headers if value is not None else ():
                if not header.get(keyword):
                    setattr(header, keyword, value)
                    header.SpecificCharacterSet = "ISO_IR 192"
                elif str(header.get(keyword)) != value:
                    message = f"A derived series must have its source's patient and study, but the given {keyword}"
                    raise SynthesisError("bad-option", f"{message} differs from the source's; leave it out.")


@dataclass(frozen=True)
class Encoding:
    """Pixel encoding: HU = slope x stored + intercept.

    Attributes:
        slope, intercept: in HU.
        bits: bits stored, 12 to 16 as allowed for CT images.
        is_signed: True for two's complement.
    """

    slope: float = 1.0
    intercept: float = 0.0
    bits: int = 16
    is_signed: bool = True

    def stored(self, hu: np.ndarray) -> np.ndarray | None:
        """Convert (rows, columns) HU to stored 16-bit pixels; None if they are out of range."""
        pixels = np.rint((hu.astype(np.float64) - self.intercept) / self.slope)
        low = -(1 << (self.bits - 1)) if self.is_signed else 0
        if pixels.min() < low or pixels.max() >= low + (1 << self.bits):
            return None
        return pixels.astype("<i2" if self.is_signed else "<u2")


HU = Encoding()
"""HU stored directly."""


@dataclass(frozen=True, eq=False)
class Template:
    """Source data for the headers of a derived series.

    Attributes:
        images: of the source, along its slice axis; empty if the source is not DICOM.
        headers: inherited elements of each image; a single one for all slices if the source is not DICOM.
        encodings: pixel encoding of each.
        description: of the source series; number: of that series, or None.
    """

    images: tuple[Slice, ...]
    headers: tuple[Dataset, ...]
    encodings: tuple[Encoding, ...]
    description: str = ""
    number: int | None = None

    @property
    def is_numbered_downwards(self) -> bool:
        """True if the source's instance numbers decrease along the stack."""
        return bool(self.images) and self.images[0].number > self.images[-1].number

    def around(self, position: float) -> tuple[int, ...]:
        """Return the indices of the headers below and above a fractional slice index; one index for integers."""
        last = len(self.headers) - 1
        return tuple(sorted({min(int(np.floor(position)), last), min(int(np.ceil(position)), last)}))

    def header(self, position: float) -> Dataset:
        """Return the elements for a position: an image's own header, or what both neighbors agree on."""
        first, *other = (self.headers[index] for index in self.around(position))
        common = Dataset()
        for element in first:
            if all(header.get(element.tag) == element for header in other):
                common.add(copy(element))
        return common


def of_images(images: Sequence[Slice], named: Named) -> Template:
    """Create the template from the images of a series.

    Args:
        images: along the slice axis.
        named: values from the user, for what the images do not give.

    Raises:
        SynthesisError: "bad-input" if an element is missing or differs between images; the message names the element and
            the file, never its value. "bad-option" if the user's values contradict the images.
    """
    named.check()
    headers: list[Dataset] = []
    encodings: list[Encoding] = []
    for path, of_file in groupby(images, lambda image: image.path):
        frames = list(of_file)
        file = open_unchanged(frames[0], with_pixels=False)
        try:
            with damage():
                header = _inherited(file)
        except DamagedError as error:
            raise SynthesisError("bad-input", f"The DICOM file {path} {error}; copy or export it again.") from None
        headers += [header] * len(frames)
        encodings += [_encoding(file, frame) for frame in frames]
    _check_one_patient(images, headers)
    named.fill(headers)
    _check_required(images, headers)
    _check_own_uids(images)
    number = numbers(file.text("SeriesNumber"), 1)
    return Template(
        tuple(images), tuple(headers), tuple(encodings), images[0].description, int(number[0]) if number else None
    )


def of_patient(named: Named, source: str) -> Template:
    """Create the template for a source that is not DICOM.

    Args:
        named: values from the user; patient ID and name are never made up.
        source: name of the source in messages.

    Raises:
        SynthesisError: "bad-option".
    """
    if named.patient_id is None or named.patient_name is None:
        message = f"A DICOM series must name its patient, but {source} does not say who that is"
        raise SynthesisError("bad-option", message, "name-patient")
    named.check()
    header = Dataset()
    named.fill([header])
    return Template((), (header,), (HU,))


def _inherited(file: DicomFile) -> Dataset:
    """Return the elements of a file that are inherited or checked."""
    header = Dataset()
    for keyword in ("SpecificCharacterSet", *KEPT, *UIDS):
        if keyword in file.data:
            header.add(file.data[keyword])
    return header


def _encoding(file: DicomFile, image: Slice) -> Encoding:
    """Return the pixel encoding of an image, limited to what CT images allow: 12 to 16 of 16 bits."""
    slope, intercept = image.rescale or (1.0, 0.0)
    stored = file.whole("BitsStored") or 0
    bits = max(12, stored) if file.bits_allocated == 16 else 16
    return Encoding(slope, intercept, bits, bool(file.whole("PixelRepresentation")))


def _check_one_patient(images: Sequence[Slice], headers: Sequence[Dataset]) -> None:
    for keyword in OF_ONE_PATIENT:
        first = headers[0].get(keyword)
        for image, header in zip(images, headers, strict=True):
            if (header.get(keyword) or None) != (first or None):
                message = (
                    f"All images of a series must have the same patient and study, but {image.path.name} differs from"
                )
                message += f" {images[0].path.name} in its {keyword}, as after an incomplete anonymization"
                raise SynthesisError("bad-input", f"{message}; export or anonymize the series again, as a whole.")


def _check_required(images: Sequence[Slice], headers: Sequence[Dataset]) -> None:
    for image, header in zip(images, headers, strict=True):
        for keyword in REQUIRED:
            value = str(header.get(keyword) or "")
            if value and (keyword not in UIDS or _UID.fullmatch(value)):
                continue
            fault = "is not a UID" if value else "is missing"
            message = f"A derived series needs the {keyword} of its source, but in the file {image.path} it {fault}"
            if keyword == "PatientID":
                raise SynthesisError("bad-input", message, "patient-id")
            raise SynthesisError("bad-input", f"{message}; export the series again.")


def _check_own_uids(images: Sequence[Slice]) -> None:
    """Check that each file has a unique UID, so that derived slices can reference their source unambiguously."""
    owner: dict[str, Slice] = {}
    for image in images:
        other = owner.setdefault(image.uid, image)
        if other.path != image.path:
            message = f"Each image must have a unique UID, but {other.path.name} and {image.path.name} have the same"
            raise SynthesisError("bad-input", f"{message} SOPInstanceUID; export the series again.")
