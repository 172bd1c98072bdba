"""What a derived CT series takes over from the images of its source, and what must be true of them for that.

Everything that is not listed here stays behind: private elements, overlays, procedure steps, references to other objects.
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
from .dicom_pixels import opened

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
"""Keywords of what is kept, by DICOM's modules (PS3.3, table A.3-1); others are made anew, see `dicom_series`."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
REQUIRED = ("PatientID", *UIDS)
"""Without these no archive could tell whose the derived series is, and what it was derived from."""
OF_ONE_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID")
"""What all images of a series have in common; an anonymisation that missed some of them leaves them different."""
_UID = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
_LONGEST = 64  # characters of an identifier or a name


@dataclass(frozen=True)
class Named:
    """What the user said of the patient and the study; None where nothing.

    Attributes:
        patient_id, patient_name: as in DICOM, the name as FAMILY^GIVEN.
        study_uid: of the study that the series becomes part of.
    """

    patient_id: str | None = None
    patient_name: str | None = None
    study_uid: str | None = None

    def check(self) -> None:
        """Refuse what DICOM cannot hold: SynthesisError "bad-option"."""
        for option, value in (("patient-id", self.patient_id), ("patient-name", self.patient_name)):
            if value is not None and not (
                value.strip() and len(value) <= _LONGEST and value.isprintable() and "\\" not in value
            ):
                message = f"The value of --{option} is a text of 1 to {_LONGEST} characters without a backslash"
                raise SynthesisError("bad-option", f"{message}; correct it.")
        if self.study_uid is not None and not _UID.fullmatch(self.study_uid):
            message = f"The study's UID has up to 64 digits and full stops, not {self.study_uid!r}"
            raise SynthesisError("bad-option", f"{message}; correct it, or leave it out.")

    def fill(self, headers: Sequence[Dataset]) -> None:
        """Set what the headers lack; SynthesisError "bad-option" where they say something else."""
        said = {"PatientID": self.patient_id, "PatientName": self.patient_name, "StudyInstanceUID": self.study_uid}
        for keyword, value in said.items():
            for header in headers if value is not None else ():
                if not header.get(keyword):
                    setattr(header, keyword, value)
                    header.SpecificCharacterSet = "ISO_IR 192"
                elif str(header.get(keyword)) != value:
                    message = f"A derived series is of its source's patient and study, but another {keyword} is given"
                    raise SynthesisError("bad-option", f"{message} than the source's; leave it out.")


@dataclass(frozen=True)
class Encoding:
    """How pixels are stored: HU = slope x stored + intercept.

    Attributes:
        slope, intercept: in HU.
        bits: stored, 12 to 16, as a CT image may have.
        is_signed: True for two's complement.
    """

    slope: float = 1.0
    intercept: float = 0.0
    bits: int = 16
    is_signed: bool = True

    def stored(self, hu: np.ndarray) -> np.ndarray | None:
        """(rows, columns) HU as stored pixels of 16 bits; None where these cannot hold them."""
        pixels = np.rint((hu.astype(np.float64) - self.intercept) / self.slope)
        low = -(1 << (self.bits - 1)) if self.is_signed else 0
        if pixels.min() < low or pixels.max() >= low + (1 << self.bits):
            return None
        return pixels.astype("<i2" if self.is_signed else "<u2")


HU = Encoding()
"""HU as they are."""


@dataclass(frozen=True, eq=False)
class Template:
    """What the slices of a derived series are made like.

    Attributes:
        images: of the source, along its slice axis; none where the source is no DICOM.
        headers: what is kept of each image; of a source that is no DICOM, the one that all slices get.
        encodings: how each stores its pixels.
        description: of the source's series; number: of that series, None where it has none.
    """

    images: tuple[Slice, ...]
    headers: tuple[Dataset, ...]
    encodings: tuple[Encoding, ...]
    description: str = ""
    number: int | None = None

    @property
    def is_numbered_downwards(self) -> bool:
        """True if the source's own numbers of its images fall along the stack."""
        return bool(self.images) and self.images[0].number > self.images[-1].number

    def around(self, place: float) -> tuple[int, ...]:
        """Indices of the header below and above a fractional index into the source's slices; one where it lies on it."""
        last = len(self.headers) - 1
        return tuple(sorted({min(int(np.floor(place)), last), min(int(np.ceil(place)), last)}))

    def header(self, place: float) -> Dataset:
        """What is kept at a place: an image's own header, or what the two beside it agree on."""
        first, *other = (self.headers[index] for index in self.around(place))
        agreed = Dataset()
        for element in first:
            if all(header.get(element.tag) == element for header in other):
                agreed.add(copy(element))
        return agreed


def of_images(images: Sequence[Slice], named: Named) -> Template:
    """What derived slices take over from the images of a series.

    Args:
        images: along the slice axis.
        named: what the user said, where the images say nothing.

    Raises:
        SynthesisError: "bad-input" where an element is missing or differs; the sentence names the element and the file,
            never its value. "bad-option" where the user says something else than the images.
    """
    named.check()
    headers: list[Dataset] = []
    encodings: list[Encoding] = []
    for path, of_file in groupby(images, lambda image: image.path):
        frames = list(of_file)
        file = opened(frames[0], with_pixels=False)
        try:
            with damage():
                header = _kept(file)
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
    """What all slices get where the source is no DICOM.

    Args:
        named: what the user said; identifier and name of the patient are never made up.
        source: what to call the source in a sentence.

    Raises:
        SynthesisError: "bad-option".
    """
    if named.patient_id is None or named.patient_name is None:
        message = f"A DICOM series names its patient, but {source} does not say who that is"
        raise SynthesisError("bad-option", message, "name-patient")
    named.check()
    header = Dataset()
    named.fill([header])
    return Template((), (header,), (HU,))


def _kept(file: DicomFile) -> Dataset:
    """The elements of a file that are kept, and those that are only checked."""
    header = Dataset()
    for keyword in ("SpecificCharacterSet", *KEPT, *UIDS):
        if keyword in file.data:
            header.add(file.data[keyword])
    return header


def _encoding(file: DicomFile, image: Slice) -> Encoding:
    """How an image stores its pixels, as far as a CT image may: 12 to 16 bits of 16."""
    slope, intercept = image.rescale or (1.0, 0.0)
    stored = file.whole("BitsStored") or 0
    bits = max(12, stored) if file.bits_allocated == 16 else 16
    return Encoding(slope, intercept, bits, bool(file.whole("PixelRepresentation")))


def _check_one_patient(images: Sequence[Slice], headers: Sequence[Dataset]) -> None:
    for keyword in OF_ONE_PATIENT:
        first = headers[0].get(keyword)
        for image, header in zip(images, headers, strict=True):
            if (header.get(keyword) or None) != (first or None):
                message = f"All images of a series are of one patient and study, but {image.path.name} differs from"
                message += f" {images[0].path.name} in its {keyword}, as after an anonymisation that missed some"
                raise SynthesisError("bad-input", f"{message}; export or anonymise the series again, as a whole.")


def _check_required(images: Sequence[Slice], headers: Sequence[Dataset]) -> None:
    for image, header in zip(images, headers, strict=True):
        for keyword in REQUIRED:
            value = str(header.get(keyword) or "")
            if value and (keyword not in UIDS or _UID.fullmatch(value)):
                continue
            fault = "is no UID" if value else "is missing"
            message = f"A derived series needs the {keyword} of its source, but in the file {image.path} it {fault}"
            if keyword == "PatientID":
                raise SynthesisError("bad-input", message, "patient-id")
            raise SynthesisError("bad-input", f"{message}; export the series again.")


def _check_own_uids(images: Sequence[Slice]) -> None:
    """Each file has a UID of its own: a slice that was derived from one of two could not say from which."""
    owner: dict[str, Slice] = {}
    for image in images:
        other = owner.setdefault(image.uid, image)
        if other.path != image.path:
            message = f"Each image has a UID of its own, but {other.path.name} and {image.path.name} have the same"
            raise SynthesisError("bad-input", f"{message} SOPInstanceUID; export the series again.")
