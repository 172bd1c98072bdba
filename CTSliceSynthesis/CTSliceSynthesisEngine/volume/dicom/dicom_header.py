"""What one file of a DICOM folder is: CT images with a place each, something else to pass over, or one that is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..dicom_slice import PHASES, Slice
from ..image_files.stored_voxels import SMALL, TIGHTEST
from .dicom_file import UNDEFINED_LENGTH, DamagedError, DicomFile, NotDicomError, as_text, damage, decimals, numbers
from .dicom_origin import origin

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED = (f"{CT_IMAGE}.1", f"{CT_IMAGE}.2")
"""SOP classes of CT images, of enhanced ones and of those converted from classic ones: DICOM PS3.4, annex B.5."""

STRAIGHT = 1e-3
"""How far the length of an orientation vector may be from 1, and the cosine of the two from 0: they are written rounded."""

NOT_HU = ("OD", "HU_MOD", "PCT", "Z_EFF", "ED", "EDW", "MGML", "MGCM3", "CM2", "CM3", "MM2", "MM3", "UG/ML", "MA")
"""Rescale types (PS3.3, C.11.1.1.2) that are no Hounsfield units; "US", unspecified, is written for HU by many."""

PLACE_KEYWORDS = {
    "position": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "spacing": "PixelSpacing",
}
COUNTS = {"position": 3, "orientation": 6, "spacing": 2}


@dataclass(frozen=True)
class Stranger:
    """A file that could not be read as DICOM.

    Attributes:
        path: of the file.
        why: to go on from "the file".
        is_dicom: True if it says that it is DICOM: then an image is lost, not a stray file.
    """

    path: Path
    why: str
    is_dicom: bool


@dataclass(frozen=True)
class Looked:
    """What was found in one file: exactly one of the three.

    Attributes:
        images: CT images, each with a place or with its fault.
        other: what kind of object it is, where it is no CT image.
        modality: of that object, "" where it has none.
        stranger: where it could not be read.
    """

    images: tuple[Slice, ...] = ()
    other: str = ""
    modality: str = ""
    stranger: Stranger | None = None


def look(path: Path) -> Looked:
    """Read the header of one file. Nothing is raised for what may lie in a folder: it becomes part of the answer."""
    try:
        file = DicomFile(path)
        with damage():
            return _looked_at(file)
    except NotDicomError as error:
        return Looked(stranger=Stranger(path, str(error), False))
    except DamagedError as error:
        return Looked(stranger=Stranger(path, str(error), True))
    except OSError as error:
        return Looked(stranger=Stranger(path, f"cannot be opened ({error.strerror})", False))


def _looked_at(file: DicomFile) -> Looked:
    modality = file.text("Modality").upper()
    if file.sop_class not in (CT_IMAGE, *ENHANCED) or modality not in ("CT", ""):
        return _other(file, modality)
    if file.whole("SamplesPerPixel") not in (1, None):
        return Looked(other="color image", modality=modality)
    return Looked(images=tuple(_enhanced(file) if file.sop_class in ENHANCED else [_classic(file)]))


def _other(file: DicomFile, modality: str) -> Looked:
    if not file.sop_class:
        return Looked(stranger=Stranger(file.path, "does not say what kind of object it is", True))
    name = UID(file.sop_class).name
    kind = "object of an unknown kind" if name == file.sop_class else name.replace(" Storage", "")
    return Looked(other=kind, modality=modality)


def _classic(file: DicomFile) -> Slice:
    texts = {name: file.text(keyword) for name, keyword in PLACE_KEYWORDS.items()}
    frames = file.text("NumberOfFrames")
    fault = "holds several frames, which a CT image of this kind cannot" if frames not in ("", "1") else ""
    if "LOCALIZER" not in file.text("ImageType").upper():
        fault = fault or _pixel_fault(file, 1)
    rescale = (file.text("RescaleSlope"), file.text("RescaleIntercept"), file.text("RescaleType"))
    if not fault and file.data.get_item("ModalityLUTSequence") is not None:
        fault = "is scaled to HU by a table (Modality LUT), not by slope and intercept"
    phase = (*(file.text(tag.keyword) for tag in PHASES.values()),)
    if origin(file):  # acquired slices lie among synthesized ones, with a thickness and a time of their own
        phase = ("",) * len(phase)
    return _slice(file, 0, texts, rescale, file.text("SliceThickness"), phase, fault)


def _enhanced(file: DicomFile) -> list[Slice]:
    """The frames of an enhanced file: what they do not say, they share."""
    count = numbers(file.text("NumberOfFrames") or "1", 1) or (0.0,)
    each = list(file.data.get("PerFrameFunctionalGroupsSequence") or ())
    shared = next(iter(file.data.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    fault = _pixel_fault(file, int(count[0])) if 0 < count[0] < 1e6 else "does not say how many frames it has"
    if len(each) != count[0]:
        fault = fault or f"has {count[0]:g} frames and says of {len(each)} where they lie"
    return [_frame(file, index, own, shared, fault) for index, own in enumerate(each or [Dataset()])]


def _frame(file: DicomFile, index: int, own: Dataset, shared: Dataset, fault: str) -> Slice:
    def text(sequence: str, keyword: str) -> str:
        for group in (own, shared) if sequence else ():
            for item in group.get(sequence) or ():
                if found := as_text(item, keyword):
                    return found
        return ""

    texts = {
        "position": text("PlanePositionSequence", "ImagePositionPatient"),
        "orientation": text("PlaneOrientationSequence", "ImageOrientationPatient"),
        "spacing": text("PixelMeasuresSequence", "PixelSpacing"),
    }
    scaled = "PixelValueTransformationSequence"
    rescale = (text(scaled, "RescaleSlope"), text(scaled, "RescaleIntercept"), text(scaled, "RescaleType"))
    thickness = text("PixelMeasuresSequence", "SliceThickness")
    phase = (*(text(tag.sequence, tag.nested or tag.keyword) or file.text(tag.keyword) for tag in PHASES.values()),)
    return _slice(file, index, texts, rescale, thickness, phase, fault)


def _slice(
    file: DicomFile,
    frame: int,
    texts: dict[str, str],
    rescale: tuple[str, str, str],
    thickness: str,
    phase: tuple[str, ...],
    fault: str,
) -> Slice:
    place = {name: numbers(text, COUNTS[name]) or () for name, text in texts.items()}
    rows_apart, columns_apart = place["spacing"] or (0.0, 0.0)
    slope, intercept = (numbers(text, 1) for text in rescale[:2])
    thick = numbers(thickness, 1)
    return Slice(
        path=file.path,
        frame=frame,
        stamp=file.stamp,
        uid=file.text("SOPInstanceUID"),
        sop_class=file.sop_class,
        series=file.text("SeriesInstanceUID"),
        patient=file.text("PatientID"),
        frame_of_reference=file.text("FrameOfReferenceUID"),
        description=file.label("SeriesDescription"),
        columns=file.whole("Columns") or 0,
        rows=file.whole("Rows") or 0,
        pixel_spacing=(columns_apart, rows_apart),
        number=int((numbers(file.text("InstanceNumber"), 1) or (0,))[0]),
        position=place["position"],
        decimals=decimals(texts["position"]),
        orientation=place["orientation"],
        thickness=thick[0] if thick and thick[0] > 0 else None,
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        is_localizer="LOCALIZER" in file.text("ImageType").upper(),
        phase=phase,
        fault=fault or _place_fault(texts, place) or _rescale_fault(rescale),
    )


def _place_fault(texts: dict[str, str], place: dict[str, tuple[float, ...]]) -> str:
    """What is wrong with where an image lies, to go on from "the file"; "" if nothing is."""
    for name, found in place.items():
        if not texts[name]:
            return f"does not give its {PLACE_KEYWORDS[name]}"
        if not found:
            return f"gives {texts[name]!r} as {PLACE_KEYWORDS[name]}, which must be {COUNTS[name]} numbers"
    if min(place["spacing"]) <= 0:
        return f"gives the pixel spacing {texts['spacing']!r}, which must be above 0 mm"
    rows, columns = np.array(place["orientation"]).reshape(2, 3)
    lengths = np.linalg.norm([rows, columns], axis=1)
    if np.abs(lengths - 1).max() > STRAIGHT or abs(rows @ columns) > STRAIGHT:
        return f"gives the orientation {texts['orientation']!r}, which must be two unit vectors at right angles"
    return ""


def _rescale_fault(rescale: tuple[str, str, str]) -> str:
    """What is wrong with slope and intercept; images without either are judged beside the others of their stack."""
    slope, intercept, kind = rescale
    if kind.upper() in NOT_HU:
        return f"holds values in {kind}, not in HU"
    if not slope and not intercept:
        return ""
    for name, text in (("slope", slope), ("intercept", intercept)):
        found = numbers(text, 1)
        if found is None or (name == "slope" and not found[0]):
            return f"gives {text!r} as rescale {name}, which must be one number" + " other than 0" * (name == "slope")
    return ""


def _pixel_fault(file: DicomFile, frames: int) -> str:
    """What is wrong with how the pixels are stored; "" if nothing is."""
    rows, columns = file.whole("Rows") or 0, file.whole("Columns") or 0
    bits, stored, high = file.bits_allocated, file.whole("BitsStored") or 0, file.whole("HighBit")
    if file.pixel_bytes is None:
        return "is cut short or damaged: it holds no pixels"
    if not rows or not columns:
        return f"gives its size as {columns} x {rows} pixels"
    if bits not in (8, 16, 32) or not 0 < stored <= bits or high not in (None, stored - 1):
        return f"gives {bits} bits allocated, {stored} stored and {high} as high bit"
    needed = frames * rows * columns * bits // 8
    if file.pixel_bytes == UNDEFINED_LENGTH:
        if file.pixel_bytes_left <= 16 * frames or needed > max(SMALL, TIGHTEST * file.pixel_bytes_left):
            return f"is cut short or damaged: {file.pixel_bytes_left} bytes cannot hold {needed} bytes of pixels"
        return ""
    if min(file.pixel_bytes, file.pixel_bytes_left) < needed:
        there = min(file.pixel_bytes, file.pixel_bytes_left)
        return f"is cut short or damaged: its pixels take {needed} bytes and {there} are there"
    one_more = needed + rows * columns * bits // 8  # less than that is padding
    return "holds more frames of pixels than it says" if file.pixel_bytes >= one_more else ""
