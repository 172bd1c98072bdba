"""Atomic writing of a volume as a derived CT series (DICOM PS3.3, A.3): one folder, one file per slice."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from ...errors import SynthesisError
from ...version import VERSION
from ...whole_folder import whole_folder, write_durable
from ..grid import Grid
from ..source import FLIP
from ..volume import Volume
from .dicom_file import silence
from .dicom_origin import coded, equipment
from .dicom_template import HU, Encoding, Template

FILE_NAME = "IM_{:05d}.dcm"
CONTENT = "content"
"""The origin field that describes volumes other than scans, e.g. "expected error in HU"."""
EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber", "SeriesNumber", "PatientPosition", "PositionReferenceIndicator", "Manufacturer",
    "KVP", "AcquisitionNumber",
)  # fmt: skip
"""Elements of type 2 (PS3.5, 7.4.3): required, but empty if unknown."""
SPATIAL_RESAMPLING = ("113085", "Spatial resampling")
SOURCE_IMAGE = ("121322", "Source image for image processing operation")
SQUARE = 1e-4  # largest cosine between rows and columns of an image
LONGEST_LABEL, LONGEST_TEXT = 64, 1024  # characters of DICOM's LO and ST


@dataclass(frozen=True, eq=False)
class Derivation:
    """How the slices of a result were derived from those of its source.

    Attributes:
        template: header data inherited from the source.
        places: (n,) positions as fractional indices into the source's slices.
        keeps: True if the slices at integer indices are the acquired ones.
        thickness: mm, of the acquired slices; new_thickness: of all others; None if unknown.
        seed: makes the UIDs of a volume reproducible; None for random UIDs.
        of_result: True if the source is itself a result, so that not all its slices were acquired.
    """

    template: Template
    places: np.ndarray
    keeps: bool
    thickness: float | None = None
    new_thickness: float | None = None
    seed: str | None = None
    of_result: bool = False

    def is_acquired(self, index: int) -> bool:
        """Return whether a slice of the result is an unchanged slice of the source."""
        return self.keeps and self._is_whole(index)

    def thickness_of(self, index: int) -> float | None:
        """Return the thickness of a slice in mm, None if unknown."""
        if not self.is_acquired(index):
            return self.new_thickness
        images = self.template.images
        return images[round(self.places[index])].thickness if self.thickness is None and images else self.thickness

    def _is_whole(self, index: int) -> bool:
        return bool(abs(self.places[index] - round(self.places[index])) < 1e-6)

    def describe(self, index: int) -> str:
        """Describe a slice in one sentence."""
        if self.of_result and self.is_acquired(index):
            return "This slice is an unchanged slice of its source, which was partly synthesized."
        if self.is_acquired(index):
            return "This slice was acquired; its pixels are those of its source."
        if self._is_whole(index):
            return "This slice was synthesized and replaces a slice of its source."
        return "This slice was synthesized between slices of its source."


@dataclass(frozen=True, eq=False)
class Part:
    """One series of a result.

    Attributes:
        volume: its voxels.
        origin: how it was made: "method", "factor", "version", ... and "content" if it is not a scan.
        subfolder: of the result's folder; "" for the folder itself.
    """

    volume: Volume
    origin: Mapping[str, str]
    subfolder: str = ""


def check_grid(grid: Grid) -> None:
    """Raise SynthesisError "bad-geometry" for grids that DICOM images cannot represent."""
    rows, columns = (grid.directions[:, axis] for axis in grid.in_plane_axes)
    if abs(rows @ columns) > SQUARE:
        angle = np.degrees(np.arccos(np.clip(rows @ columns, -1, 1)))
        message = f"Rows and columns of a DICOM image must be perpendicular, but those of the scan meet at {angle:.4g} degrees"
        raise SynthesisError("bad-geometry", f"{message}; write NRRD or MHA instead.")


def write_series(parts: Sequence[Part], folder: Path, derivation: Derivation, *, overwrite: bool = False) -> None:
    """Write all series of a result into one folder.

    Args:
        parts: all on one grid; the scan first.
        folder: see `dicom_result.check_folder`.
        derivation: of all parts.
        overwrite: whether an existing folder is replaced.

    Raises:
        SynthesisError: "cannot-write"; nothing was changed.
    """
    target, when = Path(os.path.realpath(folder)), datetime.now()
    _name_study(derivation, _digest(parts[0], derivation.template))
    try:
        with whole_folder(target, overwrite=overwrite) as new_folder:
            for number, part in enumerate(parts, start=1):
                subfolder = new_folder / part.subfolder
                subfolder.mkdir(exist_ok=True)
                for name, data in _files(part, derivation, number, when):
                    write_durable(_encode(data), subfolder / name)
    except FileExistsError:
        message = f"The folder {target} was created by another process in the meantime"
        raise SynthesisError("cannot-write", f"{message}; give another name, or allow overwriting.") from None
    except OSError as error:
        reason = f": {os.strerror(error.errno)}" if error.errno else ""
        message = f"The folder {target} could not be written completely{reason}"
        raise SynthesisError(
            "cannot-write", f"{message}; check free space and permissions, nothing was changed."
        ) from None


def _files(part: Part, derivation: Derivation, number: int, when: datetime) -> Iterator[tuple[str, FileDataset]]:
    """Yield name and content of each file of a series, in the order of instance numbers."""
    content = _digest(part, derivation.template)
    common = _common(part, derivation, number, content, when)
    slices = np.moveaxis(part.volume.voxels, part.volume.slice_array_axis, 0)
    order = range(len(slices) - 1, -1, -1) if derivation.template.is_numbered_downwards else range(len(slices))
    for instance, index in enumerate(order, start=1):
        data = _image(slices[index], index, part, derivation)
        data.update(common)
        data.InstanceNumber = instance
        data.SOPInstanceUID = new_uid(f"{data.SeriesInstanceUID} {instance}")
        yield FILE_NAME.format(instance), data


def _name_study(derivation: Derivation, content: str) -> None:
    """Create a study and a frame of reference for results whose source is not DICOM."""
    header, seed = derivation.template.headers[0], derivation.seed
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if keyword not in header:
            setattr(header, keyword, new_uid(None if seed is None else f"{seed} {keyword} {content}"))


def new_uid(of: str | None) -> str:
    """Return a UID below 2.25 (PS3.5, B.2), derived from a text or random."""
    number = uuid.uuid4() if of is None else uuid.UUID(bytes=hashlib.sha256(of.encode()).digest()[:16], version=5)
    return f"2.25.{number.int}"


def _digest(part: Part, template: Template) -> str:
    """Return a hash of the voxels, the patient and the grid of a series."""
    header, grid = template.headers[0], part.volume.grid
    whose = [header.get("PatientID"), header.get("StudyInstanceUID"), header.get("SeriesInstanceUID")]
    digest = hashlib.sha256(repr((whose, part.subfolder, part.volume.voxels.dtype.str, grid.size)).encode())
    digest.update(grid.matrix.tobytes())
    digest.update(np.ascontiguousarray(part.volume.voxels).data)
    return digest.hexdigest()


def _common(part: Part, derivation: Derivation, number: int, content: str, when: datetime) -> Dataset:
    """Return the elements common to all images of a series."""
    template, seed, origin = derivation.template, derivation.seed, part.origin
    header, data = template.headers[0], Dataset()
    data.SOPClassUID, data.Modality = CTImageStorage, "CT"
    data.SeriesInstanceUID = new_uid(None if seed is None else f"{seed} {content}")
    data.SeriesNumber = number if template.number is None else _number(template.number, number)
    data.SeriesDescription = _description(template.description, origin)
    data.SeriesDate = data.ContentDate = data.InstanceCreationDate = when.strftime("%Y%m%d")
    data.SeriesTime = data.ContentTime = data.InstanceCreationTime = when.strftime("%H%M%S")
    data.ContributingEquipmentSequence = [*header.get("ContributingEquipmentSequence", ()), equipment(origin, when)]
    data.DerivationCodeSequence = [coded(*SPATIAL_RESAMPLING)]
    return data


def _number(source: int, number: int) -> int | str:
    """Return series number 301, 302, ... for series derived from series 3; "" if it exceeds DICOM's 32 bits."""
    derived = source * 100 + number
    return derived if 0 <= derived < 1 << 31 else ""


def _description(source: str, origin: Mapping[str, str]) -> str:
    """Return the series description: the source's, truncated, followed by the processing."""
    texture = ", even texture" if origin.get("texture") == "even" else ""
    processing = f"x{_factor(origin)} synthesized{texture}, research use"
    if CONTENT in origin:
        processing = f"{origin[CONTENT]}, {processing}"
    return f"{source[: LONGEST_LABEL - len(processing) - 1]} {processing}".strip()


def _image(hu: np.ndarray, index: int, part: Part, derivation: Derivation) -> FileDataset:
    """Return one slice, without the elements common to its series."""
    template, position, is_scan = derivation.template, float(derivation.places[index]), CONTENT not in part.origin
    data = FileDataset("", template.header(position), preamble=bytes(128))
    for keyword in EMPTY if data.get("BodyPartExamined") else (*EMPTY, "Laterality"):
        if keyword not in data:
            setattr(data, keyword, None)
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]  # equal for all images: programs split a series where it differs
    data.DerivationDescription = _derivation(part.origin, derivation.describe(index) if is_scan else "")
    data.ImageComments = derivation.describe(index) if is_scan else f"Not a scan, but the {part.origin[CONTENT]}."
    if template.images:
        data.SourceImageSequence = [_reference(template, neighbor) for neighbor in template.around(position)]
    thickness = derivation.thickness_of(index)
    data.SliceThickness = None if thickness is None else _decimal(thickness)
    _set_geometry(data, part.volume.grid, index)
    _set_pixels(data, hu, [template.encodings[neighbor] for neighbor in template.around(position)] if is_scan else [])
    return data


def _factor(origin: Mapping[str, str]) -> str:
    """Return the factor for display, rounded because an exact spacing has many digits."""
    try:
        return f"{float(origin['factor']):.4g}"
    except (KeyError, ValueError):
        return "?"


def _derivation(origin: Mapping[str, str], description: str) -> str:
    """Describe how the result was made."""
    model = f", model {origin['model']}, SHA-256 {origin.get('model_sha256')}" if "model" in origin else ""
    processing = f"{_factor(origin)} times as many slices by CTSliceSynthesis {origin.get('version', '')},"
    processing += f" method {origin.get('method')}{model}."
    content = f" The pixels contain the {origin[CONTENT]}." if CONTENT in origin else ""
    thin = " Acquired slices were replaced by thin ones." if origin.get("acquired") == "thin" else ""
    texture = (
        " Synthesized slices were given the noise texture of acquired ones." if origin.get("texture") == "even" else ""
    )
    note = f" {origin['note'].capitalize()}." if "note" in origin else ""
    return f"{processing}{content}{thin}{texture} {description}{note}".replace("  ", " ")[:LONGEST_TEXT]


def _reference(template: Template, neighbor: int) -> Dataset:
    """Return the Source Image Sequence item for one image or frame of the source."""
    image, item = template.images[neighbor], Dataset()
    item.ReferencedSOPClassUID = image.sop_class
    item.ReferencedSOPInstanceUID = image.uid
    if image.sop_class != CTImageStorage:
        item.ReferencedFrameNumber = image.frame + 1
    item.PurposeOfReferenceCodeSequence = [coded(*SOURCE_IMAGE)]
    return item


def _set_geometry(data: Dataset, grid: Grid, index: int) -> None:
    along_rows, along_columns = grid.in_plane_axes
    first = [0, 0, 0]
    first[grid.slice_axis] = index
    flip = FLIP[:3, :3]
    position = flip @ grid.ras(first)
    rows, columns = (flip @ grid.directions[:, axis] for axis in grid.in_plane_axes)
    data.PixelSpacing = [_decimal(grid.spacing[along_columns]), _decimal(grid.spacing[along_rows])]
    data.ImageOrientationPatient = [_decimal(value) for value in (*rows, *columns)]
    data.ImagePositionPatient = [_decimal(value) for value in position]
    data.SliceLocation = _decimal(float(np.cross(rows, columns) @ position))
    data.SpacingBetweenSlices = _decimal(grid.slice_distance)


def _set_pixels(data: Dataset, hu: np.ndarray, encodings: Sequence[Encoding]) -> None:
    """Store a slice with its source's encoding if that can represent the values, otherwise in 16 bits.

    Raises:
        SynthesisError: "cannot-write".
    """
    wider = [Encoding(encoding.slope, encoding.intercept, 16, encoding.is_signed) for encoding in encodings]
    candidates = ((encoding, encoding.stored(hu)) for encoding in (*encodings, *wider, HU))
    encoding, pixels = next(((encoding, pixels) for encoding, pixels in candidates if pixels is not None), (HU, None))
    if pixels is None:
        message = f"A DICOM CT image has 16 bits, but the values of a slice range from {hu.min():g} to {hu.max():g}"
        raise SynthesisError("cannot-write", f"{message}; write NRRD or MHA instead.")
    if encoding not in encodings:  # the padding value is given in stored values
        data.pop("PixelPaddingValue", None)
    if "PixelPaddingValue" in data:
        data["PixelPaddingValue"].VR = "SS" if encoding.is_signed else "US"
    data.setdefault("PhotometricInterpretation", "MONOCHROME2")
    data.SamplesPerPixel = 1
    data.Rows, data.Columns = hu.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, encoding.bits, encoding.bits - 1
    data.PixelRepresentation = int(encoding.is_signed)
    data.RescaleSlope, data.RescaleIntercept = _decimal(encoding.slope), _decimal(encoding.intercept)
    data.RescaleType = "HU"
    data.PixelData = np.ascontiguousarray(pixels).tobytes()


def _decimal(value: float) -> DSfloat:
    """Return a number as a DICOM decimal string of at most 16 characters."""
    return DSfloat(float(value) + 0.0, auto_format=True)  # + 0.0 turns -0.0 into 0.0


def _encode(data: FileDataset) -> bytes:
    """Return the content of the file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationVersionName = f"CTSLICES_{VERSION}"
    data.file_meta = meta
    content = BytesIO()
    with silence():
        data.save_as(content, enforce_file_format=True)
    return content.getvalue()
