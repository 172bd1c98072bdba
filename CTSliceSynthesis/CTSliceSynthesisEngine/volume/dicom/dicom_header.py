"""Classification of one file of a DICOM folder: CT images with positions, another object to ignore, or damaged."""

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
"""SOP classes of CT images, of enhanced ones and of legacy converted enhanced ones: DICOM PS3.4, annex B.5."""

STRAIGHT = 1e-3
"""Tolerance for the length of the orientation vectors (1) and their cosine (0), which are stored rounded."""

NOT_HU = ("OD", "HU_MOD", "PCT", "Z_EFF", "ED", "EDW", "MGML", "MGCM3", "CM2", "CM3", "MM2", "MM3", "UG/ML", "MA")
"""Rescale types (PS3.3, C.11.1.1.2) that are not Hounsfield units; many write "US", unspecified, for HU."""

PLACE_KEYWORDS = {
    "position": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "spacing": "PixelSpacing",
}
COUNTS = {"position": 3, "orientation": 6, "spacing": 2}


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be read as DICOM.

    Attributes:
        path: of the file.
        why: the reason, as a predicate of "the file".
        is_dicom: True if it is marked as DICOM, so that it is a lost image rather than a stray file.
    """

    path: Path
    why: str
    is_dicom: bool


@dataclass(frozen=True)
class Inspection:
    """Content of one file: exactly one of images, other and unreadable is set.

    Attributes:
        images: CT images, each with a position or a fault.
        other: kind of object, if it is not a CT image.
        modality: of that object, "" if it has none.
        unreadable: set if it could not be read.
    """

    images: tuple[Slice, ...] = ()
    other: str = ""
    modality: str = ""
    unreadable: UnreadableFile | None = None


def inspect(path: Path) -> Inspection:
    """Read the header of one file. Files of any kind are reported in the result, not by exceptions."""
    try:
        file = DicomFile(path)
        with damage():
            return _inspect(file)
    except NotDicomError as error:
        return Inspection(unreadable=UnreadableFile(path, str(error), False))
    except DamagedError as error:
        return Inspection(unreadable=UnreadableFile(path, str(error), True))
    except OSError as error:
        return Inspection(unreadable=UnreadableFile(path, f"cannot be opened ({error.strerror})", False))


def _inspect(file: DicomFile) -> Inspection:
    modality = file.text("Modality").upper()
    if file.sop_class not in (CT_IMAGE, *ENHANCED) or modality not in ("CT", ""):
        return _other(file, modality)
    if file.whole("SamplesPerPixel") not in (1, None):
        return Inspection(other="color image", modality=modality)
    return Inspection(images=tuple(_enhanced(file) if file.sop_class in ENHANCED else [_classic(file)]))


def _other(file: DicomFile, modality: str) -> Inspection:
    if not file.sop_class:
        return Inspection(unreadable=UnreadableFile(file.path, "does not say what kind of object it is", True))
    name = UID(file.sop_class).name
    kind = "object of an unknown kind" if name == file.sop_class else name.replace(" Storage", "")
    return Inspection(other=kind, modality=modality)


def _classic(file: DicomFile) -> Slice:
    texts = {name: file.text(keyword) for name, keyword in PLACE_KEYWORDS.items()}
    frames = file.text("NumberOfFrames")
    fault = "holds several frames, which a CT image of this kind must not" if frames not in ("", "1") else ""
    if "LOCALIZER" not in file.text("ImageType").upper():
        fault = fault or _pixel_fault(file, 1)
    rescale = (file.text("RescaleSlope"), file.text("RescaleIntercept"), file.text("RescaleType"))
    if not fault and file.data.get_item("ModalityLUTSequence") is not None:
        fault = "is scaled to HU by a table (Modality LUT), not by slope and intercept"
    phase = (*(file.text(tag.keyword) for tag in PHASES.values()),)
    if origin(file):  # acquired and synthesized slices alternate, with different thicknesses and times
        phase = ("",) * len(phase)
    return _slice(file, 0, texts, rescale, file.text("SliceThickness"), phase, fault)


def _enhanced(file: DicomFile) -> list[Slice]:
    """Return the frames of an enhanced file, with shared values for what they do not give themselves."""
    count = numbers(file.text("NumberOfFrames") or "1", 1) or (0.0,)
    each = list(file.data.get("PerFrameFunctionalGroupsSequence") or ())
    shared = next(iter(file.data.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    fault = _pixel_fault(file, int(count[0])) if 0 < count[0] < 1e6 else "does not say how many frames it has"
    if len(each) != count[0]:
        fault = fault or f"has {count[0]:g} frames, but positions for {len(each)}"
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
    geometry = {name: numbers(text, COUNTS[name]) or () for name, text in texts.items()}
    rows_apart, columns_apart = geometry["spacing"] or (0.0, 0.0)
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
        position=geometry["position"],
        decimals=decimals(texts["position"]),
        orientation=geometry["orientation"],
        thickness=thick[0] if thick and thick[0] > 0 else None,
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        is_localizer="LOCALIZER" in file.text("ImageType").upper(),
        phase=phase,
        fault=fault or _geometry_fault(texts, geometry) or _rescale_fault(rescale),
    )


def _geometry_fault(texts: dict[str, str], geometry: dict[str, tuple[float, ...]]) -> str:
    """Return what is wrong with the geometry of an image, as a predicate of "the file"; "" if nothing."""
    for name, found in geometry.items():
        if not texts[name]:
            return f"does not give its {PLACE_KEYWORDS[name]}"
        if not found:
            return f"gives {texts[name]!r} as {PLACE_KEYWORDS[name]}, which must be {COUNTS[name]} numbers"
    if min(geometry["spacing"]) <= 0:
        return f"gives the pixel spacing {texts['spacing']!r}, which must be above 0 mm"
    rows, columns = np.array(geometry["orientation"]).reshape(2, 3)
    lengths = np.linalg.norm([rows, columns], axis=1)
    if np.abs(lengths - 1).max() > STRAIGHT or abs(rows @ columns) > STRAIGHT:
        return f"gives the orientation {texts['orientation']!r}, which must be two unit vectors at right angles"
    return ""


def _rescale_fault(rescale: tuple[str, str, str]) -> str:
    """Return what is wrong with slope and intercept; images without both are checked against the rest of their stack."""
    slope, intercept, kind = rescale
    if kind.upper() in NOT_HU:
        return f"has values in {kind}, not in HU"
    if not slope and not intercept:
        return ""
    for name, text in (("slope", slope), ("intercept", intercept)):
        found = numbers(text, 1)
        if found is None or (name == "slope" and not found[0]):
            return f"gives {text!r} as rescale {name}, which must be one number" + " other than 0" * (name == "slope")
    return ""


def _pixel_fault(file: DicomFile, frames: int) -> str:
    """Return what is wrong with the pixel storage; "" if nothing."""
    rows, columns = file.whole("Rows") or 0, file.whole("Columns") or 0
    bits, stored, high = file.bits_allocated, file.whole("BitsStored") or 0, file.whole("HighBit")
    if file.pixel_bytes is None:
        return "is cut short or damaged: it has no pixels"
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
        available = min(file.pixel_bytes, file.pixel_bytes_left)
        return f"is cut short or damaged: its pixels take {needed} bytes, but it has {available}"
    one_more = needed + rows * columns * bits // 8  # anything less is padding
    return "has more frames of pixels than its header says" if file.pixel_bytes >= one_more else ""
