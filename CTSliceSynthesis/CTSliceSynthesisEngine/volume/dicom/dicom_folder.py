"""DICOM files in, one Source out: `stacks` says what belongs together, `placement` where, `dicom_pixels` what it shows."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import SynthesisError
from ...regular_file import open_regular
from ..dicom_slice import SAME_PLACE_MM, Slice
from ..source import ORIGIN, Acquired, Source
from .dicom_file import DamagedError, DicomFile, NotDicomError
from .dicom_header import Stranger, look
from .dicom_origin import origin
from .dicom_pixels import opened, pixels_hash, voxels
from .dicom_placement import Placement, placement
from .dicom_stacks import Stack, chosen, stacks

LIST_SUFFIX = ".txt"
SUFFIXES = (".dcm", ".ima", ".dicom")
FEW_DOUBLES = 0.1  # of the places of a series: more of them are phases, not copies


@dataclass(frozen=True)
class Folder:
    """What the files of one folder are.

    Attributes:
        path: of the folder.
        stacks: the CT images that form volumes.
        strangers: files that could not be read as DICOM.
        others: (kind, modality) -> how many objects of other kinds there are.
        unplaced: CT images of series in which none says where it lies, as screen shots.
        scouts: how many CT images are scouts; single: how many stand alone beside longer series.
    """

    path: Path
    stacks: tuple[Stack, ...]
    strangers: tuple[Stranger, ...]
    others: dict[tuple[str, str], int]
    unplaced: tuple[Slice, ...]
    scouts: int
    single: int

    @property
    def passed_over(self) -> str:
        """What is there beside the stacks, for a sentence; "" where nothing is."""
        counts = {kind + (f" ({modality})" if modality else ""): n for (kind, modality), n in self.others.items()}
        counts |= {"CT image without a place in the patient": len(self.unplaced), "scout": self.scouts}
        damaged = sum(stranger.is_dicom for stranger in self.strangers)
        counts |= {"single CT image": self.single, "damaged DICOM file": damaged}
        counts |= {"file that is not DICOM": len(self.strangers) - damaged}
        return ", ".join(f"{count} x {what}" for what, count in counts.items() if count)

    @property
    def notes(self) -> tuple[str, ...]:
        """The same as a sentence, with the other modalities; empty where nothing was passed over."""
        modalities = sorted({modality for _, modality in self.others if modality not in ("", "CT")})
        also = f" Other modalities: {', '.join(modalities)}." if modalities else ""
        return (f"Passed over in the folder: {self.passed_over}.{also}",) if self.passed_over else ()


def is_dicom(path: Path) -> bool:
    """True if the file may be DICOM, and should be looked at: by its first bytes, or by its suffix."""
    if path.name.startswith("."):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with open_regular(path) as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def images_of(path: Path, series: str | None = None) -> tuple[Slice, ...]:
    """The images of a series, along the normal of their planes.

    Args:
        path: as in `source`, or a text file (.txt) with one path a line.
        series: as in `source`.

    Raises:
        SynthesisError: as `source`.
    """
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        found, where = _seen(path.parent, [Path(line) for line in lines if line]), f"The list {path}"
    elif path.exists():
        found, series, where = _found(path, series)
    else:
        raise SynthesisError("bad-input", f"The DICOM source {path} does not exist; check its name.")
    stack = _chosen(found, series, where)
    placement(stack, resample_irregular=True)  # the checks
    return stack.slices


def source(path: Path, *, series: str | None = None, resample_irregular: bool = False) -> Source:
    """The stack in a folder, or the one that a file belongs to.

    Args:
        path: a folder with DICOM files (its subfolders are not searched), or one of the files.
        series: name of the stack, where there are several.
        resample_irregular: see `placement`.

    Raises:
        SynthesisError: "bad-input" or "bad-geometry".
    """
    found, series, where = _found(path, series)
    stack = _chosen(found, series, where)
    return _source(stack, placement(stack, resample_irregular=resample_irregular), found.notes)


def _found(path: Path, series: str | None) -> tuple[Folder, str | None, str]:
    """What lies in a folder, or beside a file; which series it is, where it is known; and what to call the place."""
    found = look_into(path if path.is_dir() else path.parent)
    if path.is_dir():
        return found, series, f"The folder {found.path}"
    return found, series or _own(path, found), f"The file {path}"


def _chosen(found: Folder, series: str | None, where: str) -> Stack:
    """The stack that is meant, once it is known to be whole."""
    useless = [f"{image.path} {image.fault}" for image in found.unplaced]
    useless += [f"{stranger.path} {stranger.why}" for stranger in found.strangers if stranger.is_dicom]
    if not found.stacks and useless:
        message = f"No CT image in the folder {found.path} can be used: the file {useless[0]}"
        raise SynthesisError("bad-input", f"{message}; export the series again.")
    stack = chosen(found.stacks, series, where, found.passed_over)
    _check_no_slice_is_lost(stack, found)
    return stack


def look_into(folder: Path) -> Folder:
    """Read the header of every file of a folder. Names that begin with a dot are the system's own, and passed over.

    Raises:
        SynthesisError: "bad-input" if the folder cannot be read.
    """
    try:
        names = sorted(
            entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and not _is_folder(entry)
        )
    except OSError as error:
        raise SynthesisError(
            "bad-input", f"The folder {folder} cannot be opened ({error.strerror}); check its permissions."
        ) from None
    return _seen(folder, [folder / name for name in names])


def _seen(folder: Path, paths: Sequence[Path]) -> Folder:
    """What these files are."""
    looked = [look(path) for path in paths]
    images = _without_copies([image for one in looked for image in one.images])
    found = stacks(images)
    kept = {id(image) for stack in found for image in (*stack.slices, *stack.faulty)}
    scouts = sum(image.is_localizer for image in images)
    others = [image for image in images if id(image) not in kept and not image.is_localizer]
    unplaced = tuple(image for image in others if image.fault)
    single = len(others) - len(unplaced)
    strangers = tuple(one.stranger for one in looked if one.stranger)
    kinds = dict(Counter((one.other, one.modality) for one in looked if one.other))
    return Folder(folder, tuple(found), strangers, kinds, unplaced, scouts, single)


def patient(path: Path) -> str | None:
    """The patient's identifier in a DICOM file, or in the first one of a folder; None where there is none."""
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    first = next((file for file in files if is_dicom(file)), None)
    if first is None:
        return None
    try:
        return DicomFile(first).text("PatientID") or None
    except (NotDicomError, DamagedError, OSError):
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _own(path: Path, found: Folder) -> str | None:
    """Name of the stack that a file belongs to.

    Raises:
        SynthesisError: "bad-input" for a file that holds no CT image.
    """
    stack = next((stack for stack in found.stacks if any(image.path == path for image in stack.slices)), None)
    if stack is not None:
        return stack.name
    one = look(path)
    if one.images and one.images[0].fault:
        why = one.images[0].fault
    elif one.images:
        why = "is a scout, or one image alone"
    else:
        why = one.stranger.why if one.stranger else f"is no CT image but: {one.other}"
    raise SynthesisError("bad-input", f"The file {path} {why}; give a file of a CT series, or its folder.")


def _check_no_slice_is_lost(stack: Stack, found: Folder) -> None:
    """A file that cannot be read and is called as the others are, or says that it is DICOM, is a slice, not a stray."""
    shapes = {_shape(image.path.name) for image in stack.slices}
    for stranger in found.strangers:
        if stranger.is_dicom or stranger.path.suffix.lower() in SUFFIXES or _shape(stranger.path.name) in shapes:
            message = f"Every image of a series must be readable, but the file {stranger.path} {stranger.why}"
            raise SynthesisError(
                "bad-input", f"{message}; copy or export it again, or remove it if it is not part of it."
            )


def _shape(name: str) -> str:
    """What the names of a series have in common: IM_0001 and IM_0002 give IM_#."""
    stem = re.fullmatch(r"[0-9A-Fa-f]{6,}", name)
    return "hex" if stem and re.search(r"\d", name) else re.sub(r"\d+([.\-_]\d+)*", "#", name)


def _without_copies(images: list[Slice]) -> list[Slice]:
    """The images without those that show the same slice with the same pixels as another of their series."""
    by_place: dict[tuple[object, ...], list[Slice]] = {}
    for image in images:
        place = tuple(round(value / SAME_PLACE_MM) for value in image.position)
        key = (image.series, place, image.orientation, image.rescale, image.phase)
        by_place.setdefault(key if place and not image.fault else (image.path, image.frame), []).append(image)
    doubled = [same for same in by_place.values() if len(same) > 1]
    if len(doubled) > FEW_DOUBLES * len(by_place):
        doubled = [same for same in doubled if len({image.uid for image in same}) < len(same)]
    copies: set[int] = set()
    for same in doubled:
        seen: set[str] = set()
        for image in same:
            shown = pixels_hash(image)
            copies |= {id(image)} if shown in seen else set()
            seen.add(shown)
    return [image for image in images if id(image) not in copies]


def _source(stack: Stack, where: Placement, notes: tuple[str, ...]) -> Source:
    first, count = stack.slices[0], len(stack.slices) if where.at is None else len(where.at)
    thicknesses = {image.thickness for image in stack.slices}
    return Source(
        name=f"The series {stack.name}",
        size=(first.columns, first.rows, count),
        lps=where.lps,
        dtype=np.dtype(np.int16 if all(image.is_whole for image in stack.slices) else np.float32),
        load=lambda: voxels(stack.slices, where.at),
        slice_axis=2,
        thickness=first.thickness if len(thicknesses) == 1 else None,
        warnings=tuple(_warnings(stack, where, count)),
        notes=notes,
        fields=_fields(first),
        acquired=Acquired(stack.slices, np.arange(float(count)) if where.at is None else where.at),
    )


def _fields(first: Slice) -> dict[str, str]:
    """How the series was made, as the free fields of our other results; empty where it is none."""
    found = origin(opened(first, with_pixels=False))
    return {f"{ORIGIN}{key}": value for key, value in found.items()}


def _warnings(stack: Stack, where: Placement, count: int) -> list[str]:
    found = []
    if where.at is not None:
        found.append(
            f"The slices were not evenly spaced: {len(stack.slices)} were resampled linearly to {count}, "
            f"{np.linalg.norm(where.lps[:3, 2]):.4g} mm apart, so that they are no longer exactly those acquired."
        )
    if stack.slices[0].rescale is None:
        found.append("The images do not say how their values become HU; they are taken as HU as they are stored.")
    if len({image.thickness for image in stack.slices}) > 1:
        found.append("The images give several slice thicknesses, so that none is taken.")
    return found
