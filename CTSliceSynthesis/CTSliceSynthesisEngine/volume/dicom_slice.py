"""One image of a CT series: what its DICOM header says of it. No file is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..regular_file import Stamp

SAME_PLACE_MM = 0.01
"""Images nearer to each other show the same slice."""


class PhaseTag(NamedTuple):
    """Where a DICOM file says what may tell images at the same places apart.

    Attributes:
        keyword: of the element in a classic file; sequence, nested: the functional group and its element in an enhanced one.
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
"""What may tell apart images of one series that lie among each other, the most telling first: the order of Slice.phase."""


@dataclass(frozen=True)
class Slice:
    """What the header of one DICOM image, or of one frame of a multi-frame file, says.

    Attributes:
        path: its file; frame: index in that file; stamp: of the file as it was read.
        uid: SOP instance UID; sop_class: UID.
        series: series instance UID; description: of the series; patient: identifier, only ever compared.
        frame_of_reference: UID; number: of the instance, 0 if it has none.
        columns, rows: its size; pixel_spacing: mm along (i, j), that is between columns and between rows.
        position: LPS mm of the centre of its first pixel, () if unknown; decimals: of each of these numbers, as it is written.
        orientation: LPS unit steps along i, then j.
        thickness: mm, None if not given; rescale: slope and intercept, None if neither is given.
        is_localizer: a scout image.
        phase: values of PHASES, "" where there is none.
        fault: why the image cannot be used, to go on from "the file"; "" if it can.
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
        """True if rescaled pixels are whole numbers."""
        return self.rescale is None or all(value == round(value) for value in self.rescale)


def normal(image: Slice) -> np.ndarray:
    """Unit normal (LPS) of the image plane: i x j, so that every stack is right-handed."""
    across = np.cross(image.orientation[:3], image.orientation[3:])
    return across / np.linalg.norm(across)


def along(images: Sequence[Slice], first: Slice) -> np.ndarray:
    """(N,) positions in mm along the normal of one of the images, in the images' order."""
    return np.array([image.position for image in images]) @ normal(first)


def has_doubles(images: Sequence[Slice]) -> bool:
    """True if two of the images lie at the same place."""
    return bool((np.diff(np.sort(along(images, images[0]))) < SAME_PLACE_MM).any())
