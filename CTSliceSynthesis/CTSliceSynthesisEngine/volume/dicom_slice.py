"""One image of a CT series, as described by its DICOM header. No files are opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..regular_file import Stamp

SAME_PLACE_MM = 0.01
"""Images closer than this show the same slice."""


class PhaseTag(NamedTuple):
    """DICOM element that may distinguish images at the same position.

    Attributes:
        keyword: of the element in a classic file; sequence, nested: functional group and element in an enhanced file.
    """

    keyword: str
    sequence: str = ""
    nested: str = ""


PHASES = {
    "temporal position": PhaseTag("TemporalPositionIdentifier", "FrameContentSequence", "TemporalPositionIndex"),
    "cardiac phase": PhaseTag("NominalPercentageOfCardiacPhase", "CardiacSynchronizationSequence"),
    "kernel": PhaseTag("ConvolutionKernel", "CTReconstructionSequence"),
    "slice thickness": PhaseTag("SliceThickness", "PixelMeasuresSequence"),
    "kVp": PhaseTag("KVP", "CTXRayDetailsSequence"),
    "image type": PhaseTag("ImageType", "CTImageFrameTypeSequence", "FrameType"),
    "stack": PhaseTag("StackID", "FrameContentSequence"),
    "acquisition": PhaseTag("AcquisitionNumber", "FrameContentSequence", "FrameAcquisitionNumber"),
    "contrast agent": PhaseTag("ContrastBolusAgent"),
    "description": PhaseTag("SeriesDescription"),
    "trigger time": PhaseTag("TriggerTime"),
    "echo": PhaseTag("EchoNumbers"),
    "time": PhaseTag("AcquisitionTime"),
}
"""Elements that may distinguish interleaved images of one series, the most specific first; the order of Slice.phase."""


@dataclass(frozen=True)
class Slice:
    """Header data of one DICOM image, or of one frame of a multi-frame file.

    Attributes:
        path: its file; frame: index in that file; stamp: of the file when it was read.
        uid: SOP instance UID; sop_class: UID.
        series: series instance UID; description: of the series; patient: identifier, used for comparison only.
        frame_of_reference: UID; number: instance number, 0 if missing.
        columns, rows: its size; pixel_spacing: mm along (i, j), i.e. between columns and between rows.
        position: LPS mm of the center of its first pixel, () if unknown; decimals: written digits of each coordinate.
        orientation: LPS unit steps along i, then j.
        thickness: mm, None if not given; rescale: slope and intercept, None if neither is given.
        is_localizer: True for a scout image.
        phase: values of PHASES, "" if missing.
        fault: why the image cannot be used, as a predicate of "the file"; "" if it can.
    """

    path: Path
    frame: int
    stamp: Stamp
    uid: str
    sop_class: str
    series: str
    patient: str
    frame_of_reference: str
    number: int
    description: str
    columns: int
    rows: int
    pixel_spacing: tuple[float, ...]
    position: tuple[float, ...]
    decimals: tuple[int, ...]
    orientation: tuple[float, ...]
    thickness: float | None
    rescale: tuple[float, float] | None
    is_localizer: bool
    phase: tuple[str, ...]
    fault: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether rescaled pixels are integers."""
        return self.rescale is None or all(value == round(value) for value in self.rescale)


def normal(image: Slice) -> np.ndarray:
    """Return the unit normal (LPS) of the image plane, i x j, so that every stack is right-handed."""
    across = np.cross(image.orientation[:3], image.orientation[3:])
    return across / np.linalg.norm(across)


def along(images: Sequence[Slice], first: Slice) -> np.ndarray:
    """Return the (N,) positions in mm along the normal of `first`, in the order of the images."""
    return np.array([image.position for image in images]) @ normal(first)


def has_doubles(images: Sequence[Slice]) -> bool:
    """Return whether two of the images have the same position."""
    return bool((np.diff(np.sort(along(images, images[0]))) < SAME_PLACE_MM).any())
