"""Builders of small volumes and DICOM folders, shared by the engine tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import REASONS
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

# Volumes are small here, so threads do not pay off. PyTorch reads this when it is loaded, here and in child processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Runs store this machine's speed: keep it out of the user's cache.
os.environ["XDG_CACHE_HOME"] = os.environ["LOCALAPPDATA"] = tempfile.mkdtemp()

from cohorts import cohort, folder_of_scans, order  # noqa: F401  (fixtures; with PyTorch, so below the lines above)

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
    """Build a volume in RAS; by default all voxels differ, from -1000 on (0 if unsigned; small types wrap around)."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else directions) * np.asarray(spacing)
    matrix[:3, 3] = origin
    if voxels is None:
        count = int(np.prod(size))
        start = 0 if np.dtype(dtype).kind == "u" else -1000
        voxels = (np.arange(count) + start).astype(dtype).reshape(tuple(size)[::-1])
    return Volume(voxels, Grid((size[0], size[1], size[2]), matrix, slice_axis, thickness))


def dicom_slice(position: Sequence[float], pixels: np.ndarray, uid: str, series: str, **fields: Any) -> Any:
    """Build a classic CT image as a pydicom data set; `fields` are DICOM keywords, None omits an element."""
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
    """Return (rows, columns) int16 pixels of slice `index`, all different within a stack, from -1000 on."""
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


def build_scan(size: Sequence[int] = (24, 20, 12), seed: int = 0, dtype: Any = np.int16, **place: Any) -> Volume:
    """Build a thick scan with waves and noise, from about -700 to 900 HU (0 to 120 for smaller types)."""
    k, j, i = np.indices(tuple(size)[::-1])
    waves = 300 * np.sin(i / 3) * np.cos(j / 4) + 250 * np.sin(k / 2 + i / 5) + 100
    hu = waves + np.random.default_rng(seed).normal(0, 40, waves.shape)
    if np.dtype(dtype).kind == "u" or np.dtype(dtype).itemsize == 1:
        hu = np.clip((hu + 700) / 14, 0, 120)
    return build_volume(size, voxels=np.asarray(hu).astype(dtype), **place)


def randomized(model: Any, seed: int = 0, size: float = 0.02) -> Any:
    """Randomize the last layers of a model, so that its three views give different results, as after training."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in model.networks.values():
            for parameter in (network.last.weight, network.last.bias):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    model.networks.eval()
    return model


def run_command(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `ctslices` with these arguments in a child process; `options` are passed to subprocess.run."""
    command = [sys.executable, "-m", "CTSliceSynthesisEngine", *map(str, arguments)]
    return subprocess.run(command, **{**child_options(), "capture_output": True, "timeout": 300, **options})


def child_options() -> dict[str, Any]:
    """Return subprocess options such that the child finds the engine and its streams are UTF-8 text."""
    import CTSliceSynthesisEngine

    path = str(Path(CTSliceSynthesisEngine.__file__).parents[1])
    return {"env": {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}, "text": True, "encoding": "utf-8"}


@pytest.fixture(scope="session")
def tiny_model() -> Any:
    """A model of the `tiny` recipe with random weights."""
    import torch
    from CTSliceSynthesisEngine.networks.checkpoint import Model
    from CTSliceSynthesisEngine.networks.recipes import PRESETS

    torch.manual_seed(0)
    return randomized(Model.untrained(PRESETS["tiny"]))


@pytest.fixture(scope="session")
def tiny_weights(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `tiny_model`."""
    from CTSliceSynthesisEngine.networks.checkpoint import save

    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    save(tiny_model, path)
    return path


@pytest.fixture
def make_scan() -> Callable[..., Volume]:
    """`build_scan`."""
    return build_scan


@pytest.fixture
def write_scan() -> Callable[[Volume, Path], None]:
    """`files.write`."""
    from CTSliceSynthesisEngine.volume import files

    return files.write


@pytest.fixture
def randomize() -> Callable[..., Any]:
    """`randomized`."""
    return randomized


@pytest.fixture
def ctslices() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_command`."""
    return run_command


@pytest.fixture
def child() -> dict[str, Any]:
    """`child_options`."""
    return child_options()


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


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(autouse=True)
def handlers_go_back():
    """Restore the SIGTERM handler that `main` replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Make the temporary folder of the test the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def thick(here, make_scan):
    files.write(make_scan(thickness=5.0), here / "thick.nrrd")
    return "thick.nrrd"


@pytest.fixture
def command(capsys):
    """Run `ctslices` in this process and return the exit status, the output, and the lines on standard error."""

    def run(*arguments):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as stopped:  # argparse
            status = stopped.code
        out, err = capsys.readouterr()
        return status, out, [line for line in err.splitlines() if line.strip() and "%|" not in line]

    return run


@pytest.fixture
def refused(here, command):
    """Run `ctslices` expecting a refusal: return the message after checking that no file was created or changed."""

    def run(reason, *arguments):
        before = snapshot(here)
        status, out, err = command(*arguments)
        assert status == REASONS[reason], err
        assert out == ""
        assert len(err) == 1, err
        assert err[0].startswith("ctslices: ")
        assert err[0].endswith(".")
        assert snapshot(here) == before
        return err[0]

    return run
