"""The scans a model learns from, in memory."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from ..volume.files import READABLE, read
from ..volume.intensity import HU_MAX, HU_MIN

MIN_SLICES = 8
MIN_PIXELS = 192  # twice the widest crop: the half-size copies must hold one


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One scan, ready for crops.

    Attributes:
        name: of the file, without folder and suffix.
        voxels: (D, H, W) int16 HU, slice axis first.
        slice_spacing, pixel_spacing, thickness: mm.
    """

    name: str
    voxels: np.ndarray
    slice_spacing: float
    pixel_spacing: float
    thickness: float

    @cached_property
    def half(self) -> TrainingScan:
        """The same scan with pixels of twice the size (means of 2 x 2): coarser scanners, other appearances."""
        depth, height, width = self.voxels.shape
        even = self.voxels[:, : height // 2 * 2, : width // 2 * 2]
        mean = np.empty((depth, height // 2, width // 2), np.int16)
        for z, plane in enumerate(even):  # slice by slice: the whole scan in float would not fit beside a cohort
            mean[z] = np.rint(plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3), dtype=np.float32))
        return TrainingScan(f"{self.name} (half)", mean, self.slice_spacing, 2 * self.pixel_spacing, self.thickness)


@dataclass(frozen=True)
class Source:
    """What is known of a scan beyond its file: goes into the training and into the model card."""

    scan: str
    thickness: float
    source: str
    licence: str


def read_sources(path: str | Path) -> dict[str, Source]:
    """Read a CSV with the columns scan, thickness_mm, source, licence: scan name -> what is known of it.

    Raises:
        SynthesisError: "bad-input".
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if not {"scan", "thickness_mm", "source", "licence"} <= set(table.fieldnames or ()):
                raise ValueError(f"found {table.fieldnames}")
            return {
                row["scan"]: Source(row["scan"], float(row["thickness_mm"]), row["source"], row["licence"])
                for row in table
            }
    except OSError as error:
        raise SynthesisError(
            "bad-input", f"The list of sources {path} cannot be read ({error.strerror}): check its name."
        ) from error
    except (TypeError, ValueError, csv.Error) as error:
        raise SynthesisError(
            "bad-input",
            f"{path} must be a CSV file with the columns scan, thickness_mm, source and licence ({error}): correct it.",
        ) from error


def load_cohort(
    folder: str | Path, sources: Mapping[str, Source], leave_out: tuple[str, ...] = ()
) -> list[TrainingScan]:
    """Every usable scan of a folder of volume files, in the order of their names.

    Raises:
        SynthesisError: "bad-input": no usable scan, or a scan to leave out that is not there.
    """
    try:
        found = sorted(path for path in Path(folder).iterdir() if path.name.endswith(READABLE))
    except OSError as error:
        raise SynthesisError(
            "bad-input", f"The folder {folder} cannot be read ({error.strerror}): give a folder of CT scans."
        ) from error
    paths = {path.name.split(".")[0]: path for path in found}
    missing = set(leave_out) - set(paths)
    if missing:
        raise SynthesisError("bad-input", f"{sorted(missing)} to leave out is not among the scans {sorted(paths)}.")
    scans = [_load(path, sources.get(name)) for name, path in paths.items() if name not in leave_out]
    usable = [scan for scan in scans if len(scan.voxels) >= MIN_SLICES and min(scan.voxels.shape[1:]) >= MIN_PIXELS]
    if not usable:
        raise SynthesisError(
            "bad-input",
            f"{folder} holds {len(scans)} scans and none with at least {MIN_SLICES} slices of {MIN_PIXELS} x {MIN_PIXELS}"
            " pixels: give a folder with NRRD, NIfTI or MHA files of CT scans.",
        )
    return usable


def _load(path: Path, source: Source | None) -> TrainingScan:
    volume = read(path)
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
    grid = volume.grid
    thickness = source.thickness if source else grid.thickness or grid.slice_spacing
    voxels = np.ascontiguousarray(np.clip(slices, HU_MIN, HU_MAX).astype(np.int16))
    return TrainingScan(
        path.name.split(".")[0], voxels, grid.slice_spacing, float(np.mean(grid.pixel_spacing)), thickness
    )
