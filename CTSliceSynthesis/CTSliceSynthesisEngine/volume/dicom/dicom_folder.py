"""Reading of DICOM files into a Source: grouping by `stacks`, geometry by `placement`, voxels by `dicom_pixels`."""

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
from .dicom_header import UnreadableFile, inspect
from .dicom_origin import origin
from .dicom_pixels import open_unchanged, pixels_hash, voxels
from .dicom_placement import Placement, placement
from .dicom_stacks import Stack, select, stacks

LIST_SUFFIX = ".txt"
SUFFIXES = (".dcm", ".ima", ".dicom")
FEW_DOUBLES = 0.1  # maximum share of duplicated positions in a series; more are phases, not copies


@dataclass(frozen=True)
class Folder:
    """Content of one folder.

    Attributes:
        path: of the folder.
        stacks: the CT images that form volumes.
        unreadable: files that could not be read as DICOM.
        others: (kind, modality) -> number of objects of other kinds.
        unplaced: CT images of series without any position, e.g. screenshots.
        scouts: number of scout images; single: number of single images in addition to longer series.
    """

    path: Path
    stacks: tuple[Stack, ...]
    unreadable: tuple[UnreadableFile, ...]
    others: dict[tuple[str, str], int]
    unplaced: tuple[Slice, ...]
    scouts: int
    single: int

    @property
    def ignored(self) -> str:
        """Description of the files not used in stacks; "" if there are none."""
        counts = {kind + (f" ({modality})" if modality else ""): n for (kind, modality), n in self.others.items()}
        counts |= {"CT image without a place in the patient": len(self.unplaced), "scout": self.scouts}
        damaged = sum(file.is_dicom for file in self.unreadable)
        counts |= {"single CT image": self.single, "damaged DICOM file": damaged}
        counts |= {"file that is not DICOM": len(self.unreadable) - damaged}
        return ", ".join(f"{count} x {what}" for what, count in counts.items() if count)

    @property
    def notes(self) -> tuple[str, ...]:
        """`ignored` as a sentence, with the other modalities; empty if all files were used."""
        modalities = sorted({modality for _, modality in self.others if modality not in ("", "CT")})
        also = f" Other modalities: {', '.join(modalities)}." if modalities else ""
        return (f"Ignored in the folder: {self.ignored}.{also}",) if self.ignored else ()


def is_dicom(path: Path) -> bool:
    """Return whether the file may be DICOM, judging by its first bytes or suffix."""
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
    """Return the images of a series, sorted along their normal.

    Args:
        path: as in `source`, or a text file (.txt) with one path per line.
        series: as in `source`.

    Raises:
        SynthesisError: as in `source`.
    """
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        content, where = _inspect_files(path.parent, [Path(line) for line in lines if line]), f"The list {path}"
    elif path.exists():
        content, series, where = _inspect(path, series)
    else:
        raise SynthesisError("bad-input", f"The DICOM source {path} does not exist; check its name.")
    stack = _select_stack(content, series, where)
    placement(stack, resample_irregular=True)  # raises if the stack is not valid
    return stack.slices


def source(path: Path, *, series: str | None = None, resample_irregular: bool = False) -> Source:
    """Return the stack in a folder, or the one that a file belongs to.

    Args:
        path: a folder with DICOM files (not including subfolders), or one of the files.
        series: name of the stack, if there are several.
        resample_irregular: see `placement`.

    Raises:
        SynthesisError: "bad-input" or "bad-geometry".
    """
    content, series, where = _inspect(path, series)
    stack = _select_stack(content, series, where)
    return _source(stack, placement(stack, resample_irregular=resample_irregular), content.notes)


def _inspect(path: Path, series: str | None) -> tuple[Folder, str | None, str]:
    """Return the content of a folder, or of a file's folder; the series, if known; and a name for messages."""
    content = inspect_folder(path if path.is_dir() else path.parent)
    if path.is_dir():
        return content, series, f"The folder {content.path}"
    return content, series or _stack_name_of(path, content), f"The file {path}"


def _select_stack(content: Folder, series: str | None, where: str) -> Stack:
    """Return the selected stack after checking that it is complete."""
    useless = [f"{image.path} {image.fault}" for image in content.unplaced]
    useless += [f"{file.path} {file.why}" for file in content.unreadable if file.is_dicom]
    if not content.stacks and useless:
        message = f"No CT image in the folder {content.path} can be used: the file {useless[0]}"
        raise SynthesisError("bad-input", f"{message}; export the series again.")
    stack = select(content.stacks, series, where, content.ignored)
    _check_no_slice_is_lost(stack, content)
    return stack


def inspect_folder(folder: Path) -> Folder:
    """Read the header of every file in a folder, ignoring hidden files.

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
    return _inspect_files(folder, [folder / name for name in names])


def _inspect_files(folder: Path, paths: Sequence[Path]) -> Folder:
    """Read the headers of these files and group them."""
    inspected = [inspect(path) for path in paths]
    images = _without_copies([image for file in inspected for image in file.images])
    grouped = stacks(images)
    used = {id(image) for stack in grouped for image in (*stack.slices, *stack.faulty)}
    scouts = sum(image.is_localizer for image in images)
    others = [image for image in images if id(image) not in used and not image.is_localizer]
    unplaced = tuple(image for image in others if image.fault)
    single = len(others) - len(unplaced)
    unreadable = tuple(file.unreadable for file in inspected if file.unreadable)
    kinds = dict(Counter((file.other, file.modality) for file in inspected if file.other))
    return Folder(folder, tuple(grouped), unreadable, kinds, unplaced, scouts, single)


def patient(path: Path) -> str | None:
    """Return the patient ID of a DICOM file, or of the first one in a folder; None if there is none."""
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
    except OSError:  # a circular link
        return False


def _stack_name_of(path: Path, content: Folder) -> str | None:
    """Return the name of the stack that a file belongs to.

    Raises:
        SynthesisError: "bad-input" for a file without a CT image.
    """
    stack = next((stack for stack in content.stacks if any(image.path == path for image in stack.slices)), None)
    if stack is not None:
        return stack.name
    file = inspect(path)
    if file.images and file.images[0].fault:
        why = file.images[0].fault
    elif file.images:
        why = "is a scout or a single image"
    else:
        why = file.unreadable.why if file.unreadable else f"is not a CT image but: {file.other}"
    raise SynthesisError("bad-input", f"The file {path} {why}; give a file of a CT series, or its folder.")


def _check_no_slice_is_lost(stack: Stack, content: Folder) -> None:
    """Reject unreadable files that are DICOM or named like the others: they are missing slices, not stray files."""
    patterns = {_name_pattern(image.path.name) for image in stack.slices}
    for file in content.unreadable:
        if file.is_dicom or file.path.suffix.lower() in SUFFIXES or _name_pattern(file.path.name) in patterns:
            message = f"Every image of a series must be readable, but the file {file.path} {file.why}"
            raise SynthesisError(
                "bad-input", f"{message}; copy or export it again, or remove it if it is not part of it."
            )


def _name_pattern(name: str) -> str:
    """Return the pattern of a file name: IM_0001 and IM_0002 give IM_#."""
    stem = re.fullmatch(r"[0-9A-Fa-f]{6,}", name)
    return "hex" if stem and re.search(r"\d", name) else re.sub(r"\d+([.\-_]\d+)*", "#", name)


def _without_copies(images: list[Slice]) -> list[Slice]:
    """Remove images that show the same slice with the same pixels as another of their series."""
    by_position: dict[tuple[object, ...], list[Slice]] = {}
    for image in images:
        position = tuple(round(value / SAME_PLACE_MM) for value in image.position)
        key = (image.series, position, image.orientation, image.rescale, image.phase)
        by_position.setdefault(key if position and not image.fault else (image.path, image.frame), []).append(image)
    duplicates = [group for group in by_position.values() if len(group) > 1]
    if len(duplicates) > FEW_DOUBLES * len(by_position):
        duplicates = [group for group in duplicates if len({image.uid for image in group}) < len(group)]
    copies: set[int] = set()
    for group in duplicates:
        digests: set[str] = set()
        for image in group:
            digest = pixels_hash(image)
            copies |= {id(image)} if digest in digests else set()
            digests.add(digest)
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
    """Return how the series was made, as in the text fields of other results; empty if it is not a result."""
    fields = origin(open_unchanged(first, with_pixels=False))
    return {f"{ORIGIN}{key}": value for key, value in fields.items()}


def _warnings(stack: Stack, where: Placement, count: int) -> list[str]:
    warnings = []
    if where.at is not None:
        warnings.append(
            f"The slices were not evenly spaced: {len(stack.slices)} were resampled linearly to {count}, "
            f"{np.linalg.norm(where.lps[:3, 2]):.4g} mm apart, so they are no longer exactly the acquired ones."
        )
    if stack.slices[0].rescale is None:
        warnings.append(
            "The images do not say how their values are converted to HU; the stored values are treated as HU."
        )
    if len({image.thickness for image in stack.slices}) > 1:
        warnings.append("The images give different slice thicknesses, so none is used.")
    return warnings
