"""Small builders of real volumes and real DICOM folders, shared by the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # DICOM orientation: rows to the left, columns to the back


def build_volume(
    size: Sequence[int] = (7, 6, 5),
    spacing: Sequence[float] = (0.7, 0.8, 5.0),
    *,
    origin: Sequence[float] = (-10.0, 20.0, -30.0),
    directions: np.ndarray | None = None,
    slice_axis: int = 2,
    thickness: float | None = None,
    dtype: Any = np.int16,
    voxels: np.ndarray | None = None,
) -> Volume:
    """A volume in RAS; by default no two voxels are alike, from -1000 on (0 if unsigned; small types wrap around)."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else directions) * np.asarray(spacing)
    matrix[:3, 3] = origin
    if voxels is None:
        count = int(np.prod(size))
        start = 0 if np.dtype(dtype).kind == "u" else -1000
        voxels = (np.arange(count) + start).astype(dtype).reshape(tuple(size)[::-1])
    return Volume(voxels, Grid((size[0], size[1], size[2]), matrix, slice_axis, thickness))


def dicom_slice(position: Sequence[float], pixels: np.ndarray, uid: str, series: str, **fields: Any) -> Any:
    """One classic CT image as a pydicom data set; `fields` are DICOM keywords, None leaves one out."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values: dict[str, Any] = dict(
        SOPClassUID=CTImageStorage, SOPInstanceUID=uid, SeriesInstanceUID=series, StudyInstanceUID="1.2.3",
        FrameOfReferenceUID="1.2.4", Modality="CT", PatientName="Secret^Name", PatientID="S3CR3T",
        SeriesDescription="thick", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SliceThickness="5.0",
        PixelSpacing=["0.8", "0.7"],
        ImagePositionPatient=[f"{value:.6f}" for value in position], ImageOrientationPatient=list(AXIAL),
        Rows=pixels.shape[0], Columns=pixels.shape[1], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=int(pixels.dtype.kind == "i"),
        RescaleSlope="1", RescaleIntercept="0", PixelData=pixels.tobytes(),
    )  # fmt: skip
    for keyword, value in (values | fields).items():
        if value is not None:
            setattr(data, keyword, value)
    return data


def stack_pixels(index: int, shape: tuple[int, int] = (6, 7)) -> np.ndarray:
    """(rows, columns) int16 pixels of the slice `index`: no two of a stack alike, from -1000 on."""
    count = shape[0] * shape[1]
    return (np.arange(count, dtype=np.int16) + index * count - 1000).astype(np.int16).reshape(shape)


def write_stack(
    folder: Path,
    positions: Sequence[Sequence[float]],
    *,
    series: str = "1.2.5",
    first: int = 0,
    pixels: Callable[[int], np.ndarray] = stack_pixels,
    **fields: Any,
) -> list[Path]:
    """Write one file per position (LPS, mm) in `folder`; a field given as a tuple holds one value per slice."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, position in enumerate(positions):
        own = {key: value[index] if isinstance(value, tuple) else value for key, value in fields.items()}
        number = first + index
        data = dicom_slice(position, pixels(index), f"{series}.{number + 1}", series, **own)
        paths.append(folder / f"{series}_{number:03d}")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_frames(path: Path, positions: Sequence[Sequence[float]], **fields: Any) -> Path:
    """Write one enhanced CT file with a frame per position (LPS, mm), 0.7 x 0.8 mm pixels, intercept -24."""
    from pydicom.dataset import Dataset
    from pydicom.uid import EnhancedCTImageStorage

    def nested(**values: Any) -> list[Any]:
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        return [item]

    frames = np.stack([stack_pixels(index) for index in range(len(positions))])
    absent = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"))
    absent |= dict.fromkeys(("RescaleSlope", "RescaleIntercept"))
    data = dicom_slice((0, 0, 0), frames[0], "1.2.6.1", "1.2.6", **absent)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.NumberOfFrames, data.PixelData = len(positions), frames.tobytes()
    data.SharedFunctionalGroupsSequence = nested(
        PlaneOrientationSequence=nested(ImageOrientationPatient=list(AXIAL)),
        PixelMeasuresSequence=nested(PixelSpacing=[0.8, 0.7], SliceThickness=5),
        PixelValueTransformationSequence=nested(RescaleSlope=1, RescaleIntercept=-24, RescaleType="HU"),
    )
    data.PerFrameFunctionalGroupsSequence = [
        nested(PlanePositionSequence=nested(ImagePositionPatient=list(position)))[0] for position in positions
    ]
    for keyword, value in fields.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """`build_volume`."""
    return build_volume


@pytest.fixture
def write_dicom_stack() -> Callable[..., list[Path]]:
    """`write_stack`."""
    return write_stack


@pytest.fixture
def write_dicom_frames() -> Callable[..., Path]:
    """`write_frames`."""
    return write_frames
