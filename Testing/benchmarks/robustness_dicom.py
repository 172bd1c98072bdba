"""DICOM folders for `robustness.py`, as they come from scanners and archives, and damaged ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, RLELossless
from robustness_cases import EITHER, ORIGIN, REFUSED, RIGHT, SAFE, SIZE, SPACING, VOXELS, Case, damage

Change = Callable[[int, Dataset], None]
COUNT = SIZE[2]


def image(index: int, place: float | None = None, series: str = "1.2.5", voxels: np.ndarray = VOXELS) -> Dataset:
    """Return one CT image of the stack."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    height = ORIGIN[2] + SPACING[2] * index if place is None else place
    uid = UID(f"{series}.{index + 1}.{round(1000 * (place or 0)) % 10**6}")
    values: dict[str, Any] = dict(
        SOPClassUID=CTImageStorage, SOPInstanceUID=uid, SeriesInstanceUID=series, StudyInstanceUID="1.2.3",
        FrameOfReferenceUID="1.2.4", Modality="CT", PatientName="Test^Case", PatientID="T1", SeriesDescription="thick",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SliceThickness="5", InstanceNumber=str(index + 1),
        PixelSpacing=[str(SPACING[1]), str(SPACING[0])], ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
        ImagePositionPatient=[str(ORIGIN[0]), str(ORIGIN[1]), f"{height:g}"],
        Rows=SIZE[1], Columns=SIZE[0], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=16,
        BitsStored=16, HighBit=15, PixelRepresentation=1, RescaleSlope="1", RescaleIntercept="0", AcquisitionNumber="1",
        PixelData=voxels[index % len(voxels)].tobytes(),
    )  # fmt: skip
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def save(data: Dataset, path: Path) -> None:
    """Write a file, even with invalid values."""
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)


def stack(folder: Path, change: Change = lambda index, data: None, name: str = "IM{:03d}") -> list[Path]:
    """Write the stack, after applying `change` to each image."""
    paths = []
    for index in range(COUNT):
        data = image(index)
        change(index, data)
        paths.append(folder / name.format(index))
        save(data, paths[-1])
    return paths


def _series(change: Change) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        stack(folder, change)
        return folder

    return make


def _beside(add: Callable[[Path, list[Path]], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        add(folder, stack(folder))
        return folder

    return make


def _set(keyword: str, value: Any, which: Callable[[int], bool] = lambda index: True) -> Change:
    def change(index: int, data: Dataset) -> None:
        if not which(index):
            return
        if value is None:
            delattr(data, keyword)
        else:
            raw = value(index) if callable(value) else value
            data[keyword].value = raw if not isinstance(raw, str) else raw.split("\\") if "\\" in raw else raw

    return change


def _raw(keyword: str, text: bytes, which: Callable[[int], bool] = lambda index: True) -> Callable[[Path], Path]:
    """Return a maker of stacks with a value that pydicom would not write."""

    def make(folder: Path) -> Path:
        marks = {index: b"%08d.25" % index for index in range(COUNT)}

        def mark(index: int, data: Dataset) -> None:
            if which(index):
                data[keyword].value = marks[index].decode()

        for index, path in enumerate(stack(folder, mark)):
            if which(index):
                length = len(marks[index]) + len(marks[index]) % 2
                old = marks[index].ljust(length)
                content = path.read_bytes()
                path.write_bytes(content.replace(old, text.ljust(length)[:length], 1))
        return folder

    return make


def _last(index: int) -> bool:
    return index == COUNT - 1


def _one(index: int) -> bool:
    return index == 3


def _interleaved(keyword: str, first: str, second: str) -> Callable[[Path], Path]:
    """Return a maker of two interleaved stacks in one series, half a gap apart, that differ in one tag."""

    def make(folder: Path) -> Path:
        for index in range(COUNT):
            for number, (value, lift) in enumerate(((first, 0.0), (second, SPACING[2] / 2))):
                data = image(index, ORIGIN[2] + SPACING[2] * index + lift)
                setattr(data, keyword, value)
                save(data, folder / f"IM{number}{index:03d}")
        return folder

    return make


def _sr(folder: Path, paths: list[Path]) -> None:
    data = image(0)
    data.SOPClassUID, data.Modality = UID("1.2.840.10008.5.1.4.1.1.88.67"), "SR"
    del data.PixelData
    save(data, folder / "REPORT")


def _nested(folder: Path, paths: list[Path]) -> None:
    content = paths[0].read_bytes()
    deep = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 200_000
    at = content.index(b"\x10\x00\x10\x00PN")
    paths[0].write_bytes(content[:at] + deep + content[at:])


def sets() -> Iterator[Case]:
    """Return folders with a known correct answer."""
    return chain(_unusual_values(), _unusual_files())


def _unusual_values() -> Iterator[Case]:
    for name, make, expected in (
        ("plain", _series(lambda index, data: None), RIGHT),
        ("compressed", lambda folder: compressed_stack(folder)[0].parent, RIGHT),
        ("enhanced", lambda folder: enhanced_file(folder)[0].parent, RIGHT),
        ("one instance UID for all", _series(_set("SOPInstanceUID", "1.2.5.1")), RIGHT),
        ("acquisition numbers by slice", _series(_set("AcquisitionNumber", str)), RIGHT),
        ("MONOCHROME1", _series(_set("PhotometricInterpretation", "MONOCHROME1")), RIGHT),
        ("two patients", _series(_set("PatientID", "T2", _one)), REFUSED),
        ("two frames of reference", _series(_set("FrameOfReferenceUID", "1.2.9", _one)), REFUSED),
        ("one without rescale", _series(_set("RescaleSlope", None, _one)), REFUSED),
        ("slope 0", _series(_set("RescaleSlope", "0")), REFUSED),
        ("negative pixel spacing", _series(_set("PixelSpacing", "-0.8\\0.7")), REFUSED),
        ("orientation too long", _series(_set("ImageOrientationPatient", "2\\0\\0\\0\\1\\0")), REFUSED),
        (
            "orientation not at right angles",
            _series(_set("ImageOrientationPatient", "1\\0\\0\\0.5\\0.866\\0")),
            REFUSED,
        ),
        ("last without position", _series(_set("ImagePositionPatient", None, _last)), REFUSED),
        ("no position at all", _series(_set("ImagePositionPatient", None)), REFUSED),
        ("thickness in micrometers", _series(_set("SliceThickness", "5000")), RIGHT),
        ("other modality", _series(_set("Modality", "MR")), REFUSED),
        ("slope with a comma", _raw("RescaleSlope", b"1,5"), REFUSED),
        ("slope abc", _raw("RescaleSlope", b"abc"), REFUSED),
        ("slope nan", _raw("RescaleSlope", b"nan"), REFUSED),
        ("two slopes", _raw("RescaleSlope", b"1\\2"), REFUSED),
        ("one slope with a comma", _raw("RescaleSlope", b"1,5", _one), REFUSED),
    ):
        yield Case(f"dicom: {name}", make, expected)


def _unusual_files() -> Iterator[Case]:
    for name, make, expected in (
        ("last empty", _beside(lambda folder, paths: paths[-1].write_bytes(b"") and None), REFUSED),
        (
            "last zeroed",
            _beside(lambda f, paths: paths[-1].write_bytes(bytes(paths[-1].stat().st_size)) and None),
            REFUSED,
        ),
        ("last cut short", _beside(lambda f, paths: os.truncate(paths[-1], paths[-1].stat().st_size - 9)), REFUSED),
        ("last cut in its header", _beside(lambda f, paths: os.truncate(paths[-1], 300)), REFUSED),
        ("a dangling link", _beside(lambda f, paths: (f / "IM900").symlink_to("nowhere")), REFUSED),
        ("a link to itself", _beside(lambda f, paths: (f / "loop").symlink_to("loop")), RIGHT),
        ("a pipe", _beside(lambda f, paths: os.mkfifo(f / "pipe")), RIGHT),
        ("a report", _beside(_sr), RIGHT),
        ("a text file", _beside(lambda f, paths: (f / "notes.txt").write_text("hello") and None), RIGHT),
        (
            "a macOS metadata file",
            _beside(lambda f, paths: (f / "._IM001.dcm").write_bytes(b"\0\5\x16\7") and None),
            RIGHT,
        ),
        (
            "a copy of a slice",
            _beside(lambda f, paths: (f / "IM001 copy").write_bytes(paths[1].read_bytes()) and None),
            RIGHT,
        ),
        ("a slice far away", _beside(lambda f, paths: save(image(9, 1e9), f / "IM900")), REFUSED),
        ("another slice at one place", _beside(lambda f, paths: save(image(5, ORIGIN[2]), f / "IM900")), REFUSED),
        (
            "a file name that is not UTF-8",
            _beside(lambda f, paths: Path(os.fsdecode(os.fsencode(f) + b"/\xff\xfe")).touch()),
            RIGHT,
        ),
        ("nested 200,000 deep", _beside(_nested), EITHER),
        ("two kernels", _interleaved("ConvolutionKernel", "B30f", "B70f"), REFUSED),
        ("two acquisitions", _interleaved("AcquisitionNumber", "1", "2"), REFUSED),
        ("two times", _interleaved("TemporalPositionIdentifier", "1", "2"), REFUSED),
        ("frames 1e9", _series(lambda i, data: setattr(data, "NumberOfFrames", "1000000000")), REFUSED),
    ):
        yield Case(f"dicom: {name}", make, expected)


def damaged_sets(count: int, seed: int) -> Iterator[Case]:
    """Return stacks of plain, compressed and multi-frame files in turn, each with random damage in one file."""
    kinds: list[Callable[[Path], list[Path]]] = [stack, compressed_stack, enhanced_file]
    for number in range(count):
        rng = np.random.default_rng((seed, number))

        def make(folder: Path, rng: np.random.Generator = rng, kind: int = number % len(kinds)) -> Path:
            paths = kinds[kind](folder)
            path = paths[int(rng.integers(0, len(paths)))]
            content = path.read_bytes()
            start = int(rng.integers(0, len(content) - 1)) if rng.random() < 0.7 else 0
            path.write_bytes(content[:start] + damage(content[start:], rng))
            return folder

        yield Case(f"dicom, damage {number}", make, SAFE)


def compressed_stack(folder: Path) -> list[Path]:
    """Write the stack with run-length-encoded pixels."""
    paths = stack(folder)
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    return paths


def enhanced_file(folder: Path) -> list[Path]:
    """Write the stack as the frames of one enhanced file."""
    data = image(0)
    data.SOPClassUID, data.NumberOfFrames, data.PixelData = EnhancedCTImageStorage, COUNT, VOXELS.tobytes()
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = [_moved(data, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_moved(data, "PixelSpacing", "SliceThickness")]
    shared.PixelValueTransformationSequence = [_moved(data, "RescaleSlope", "RescaleIntercept")]
    for index in range(COUNT):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [*map(str, ORIGIN[:2]), f"{ORIGIN[2] + SPACING[2] * index:g}"]
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    del data.ImagePositionPatient
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    save(data, folder / "enhanced")
    return [folder / "enhanced"]


def _moved(data: Dataset, *keywords: str) -> Dataset:
    """Move elements from a data set to a new one, and return it."""
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, data[keyword].value)
        delattr(data, keyword)
    return item
