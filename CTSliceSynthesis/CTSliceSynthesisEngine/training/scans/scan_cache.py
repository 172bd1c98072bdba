"""Cache of converted, memory-mapped scans: a cohort may be larger than memory, and is converted once.

For each scan, the folder contains <key>.npy (D, H, W int16 HU, slice axis first), <key>.half.npy (pixels of twice the size)
and <key>.json (`Facts`). The key is a hash of path, size and time of the source, so a changed scan has another one. Each file
is written to a temporary name and moved, and two runs that convert the same scan write the same bytes, so no run can see a
partial file of another. Only the user can access folder and files. Patients are distinguished by a hash with a salt that
never leaves the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...errors import SynthesisError
from ...volume.dicom import dicom_folder
from ...volume.files import open_scan
from ...volume.folders import FoundScan
from ...volume.intensity import HU_MAX, HU_MIN, looks_like_hu
from ...whole_file import part_beside, put_in_place, remove_forgotten, write_whole
from .scan import halved

_VERSION = 2
_OPEN = 400  # mapped files kept at a time; each keeps a file open


@dataclass(frozen=True)
class Facts:
    """Metadata of a cached scan.

    Attributes:
        shape: (D, H, W).
        slice_spacing, pixel_spacing: mm.
        thickness: mm; None if not in the file.
        is_ct: False if the values cannot be HU.
        patient: a salted hash of the patient's identifier, "" if the file has none.
        slices: a hash of each slice: scans that share slices are considered the same.
    """

    shape: tuple[int, int, int]
    slice_spacing: float
    pixel_spacing: float
    thickness: float | None
    is_ct: bool
    patient: str
    slices: tuple[str, ...]


@dataclass(frozen=True)
class CachedScan:
    """A scan in the cache: metadata, and functions that map its voxels and those of its half-size copy."""

    facts: Facts
    whole: Callable[[], np.ndarray]
    half: Callable[[], np.ndarray]


class ScanCache:
    """Cache of converted scans in a folder, which is created if missing.

    Raises:
        SynthesisError: "cannot-write".
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            remove_forgotten(folder)

    def get(self, scan: FoundScan) -> CachedScan:
        """Return a scan; convert it first if it is missing in the cache, or damaged.

        Raises:
            SynthesisError: "bad-input" or "bad-geometry" for a scan that cannot be used, "cannot-write".
        """
        key = self._key(scan)
        facts = self._known(key) or self._convert(scan, key)
        return CachedScan(facts, partial(_opened, self._path(key, half=False)), partial(_opened, self._path(key, True)))

    def _key(self, scan: FoundScan) -> str:
        """Return the key of a scan's current state on disk."""
        try:
            return self._key_of(scan)
        except OSError as error:
            message = f"The scan {scan.path} cannot be opened ({error.strerror})"
            raise SynthesisError("bad-input", f"{message}: check its name and permissions.") from error

    @staticmethod
    def _key_of(scan: FoundScan) -> str:
        files = [scan.path] if scan.path.is_file() else sorted(path for path in scan.path.iterdir() if path.is_file())
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return _hash(repr((_VERSION, os.path.realpath(scan.path), scan.series, stamps)).encode())

    def _path(self, key: str, half: bool) -> Path:
        return self._folder / f"{key}{'.half' if half else ''}.npy"

    def _known(self, key: str) -> Facts | None:
        """Read a scan's facts; return None if anything is missing or damaged, so that it is converted again."""
        try:
            values = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            facts = Facts(**{**values, "shape": tuple(values["shape"]), "slices": tuple(values["slices"])})
            whole, half = (_mapped(self._path(key, half)) for half in (False, True))
            depth, height, width = facts.shape
            is_valid = whole.shape == facts.shape and half.shape == (depth, height // 2, width // 2)
            checked = (0, depth // 2, depth - 1)
            is_valid = is_valid and all(_hash(whole[z].tobytes()) == facts.slices[z] for z in checked)
            return facts if is_valid and whole.dtype == half.dtype == np.int16 else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _convert(self, scan: FoundScan, key: str) -> Facts:
        opened_scan = open_scan(scan.path, series=scan.series)
        if opened_scan.header.origin:
            message = f"{scan.path} is a result of CTSliceSynthesis, and nothing is learned from estimates"
            raise SynthesisError("bad-input", f"{message}: give the scan it was made from.")
        volume = opened_scan.read()
        grid = volume.grid
        slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
        hu = np.ascontiguousarray(np.clip(slices, HU_MIN, HU_MAX).astype(np.int16))
        facts = Facts(
            (hu.shape[0], hu.shape[1], hu.shape[2]),
            grid.slice_spacing,
            float(np.mean(grid.pixel_spacing)),
            grid.thickness,
            looks_like_hu(volume.voxels),
            self._patient(scan),
            tuple(_hash(plane.tobytes()) for plane in hu),
        )
        with _writing(self._folder):
            self._write(hu, self._path(key, half=False))
            self._write(halved(hu), self._path(key, half=True))
            write_whole(json.dumps(asdict(facts)).encode(), self._folder / f"{key}.json", private=True)
        return facts

    def _patient(self, scan: FoundScan) -> str:
        """Return a hash of the patient's identifier; "" if there is none."""
        patient_id = dicom_folder.patient(scan.path)
        if patient_id is None:
            return ""
        with _writing(self._folder):
            return hashlib.blake2b(patient_id.encode(), key=_salt(self._folder / "salt"), digest_size=12).hexdigest()

    def _write(self, hu: np.ndarray, path: Path) -> None:
        part = part_beside(path)
        _mapped.cache_clear()  # a damaged file may be open
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                np.save(file, hu)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _salt(path: Path) -> bytes:
    """Return the folder's salt, creating it if missing; if two runs create it at once, one of them wins."""
    if not path.exists():
        part = part_beside(path)
        write_whole(secrets.token_bytes(16), part, private=True)
        with contextlib.suppress(FileExistsError):
            put_in_place([part], [path], overwrite=False)
        part.unlink(missing_ok=True)
    return path.read_bytes()


def _opened(path: Path) -> np.ndarray:
    """Map (D, H, W) int16 HU, which are read from disk on access.

    Raises:
        SynthesisError: "bad-input" if the file was removed or damaged since.
    """
    try:
        return _mapped(path)
    except (OSError, ValueError) as error:
        message = f"The cached scan {path} disappeared or was damaged during the training"
        raise SynthesisError("bad-input", message, "resume") from error


@lru_cache(maxsize=_OPEN)
def _mapped(path: Path) -> np.ndarray:
    # A plain array on the same mapping: slicing an np.memmap is slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"The cache folder {folder} cannot be written ({error.strerror})"
        raise SynthesisError("cannot-write", message, "free-space") from error
