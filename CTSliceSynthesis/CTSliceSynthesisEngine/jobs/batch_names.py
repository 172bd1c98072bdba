"""Names of the results of a batch, and subjects of scans in BIDS folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..volume.folders import FoundScan
from .increase_request import DICOM

_SUBJECT = re.compile(r"(sub-[0-9A-Za-z]+)(_.*)?", re.ASCII)


def outputs(scans: Sequence[FoundScan], folder: Path, out: Path, form: str) -> list[Path]:
    """Return a unique path for each result, also on case-insensitive file systems.

    scan.nrrd                   -> scan.nrrd
    scan.nrrd, scan.nii.gz      -> scan.nrrd.nrrd, scan.nii.gz.nrrd: the suffix is kept if the names are otherwise equal
    scan/ next to them          -> scan_dicom.nrrd

    DICOM results are folders with the same names without ".nrrd". None is inside another one.

    study/ct with study/ct/late -> study/ct_dicom, study/ct/late

    Args:
        scans: scans below `folder`.
        out: output folder.
        form: "file" or "dicom".
    """
    suffix = "" if form == DICOM else ".nrrd"
    parents = [out / ("." if scan.path == folder else scan.path.relative_to(folder).parent) for scan in scans]
    short = [parent / f"{scan.name}{suffix}" for scan, parent in zip(scans, parents, strict=True)]
    full = [parent / f"{_longer(scan, form)}{suffix}" for scan, parent in zip(scans, parents, strict=True)]
    taken = Counter(str(path).casefold() for path in short)
    used = {str(above).casefold() for path in short for above in path.parents}
    names: list[Path] = []
    for short_name, longer in zip(short, full, strict=True):
        name = (
            short_name if taken[str(short_name).casefold()] == 1 and str(short_name).casefold() not in used else longer
        )
        number = 2
        while str(name).casefold() in used:
            stem = longer.name.removesuffix(suffix) if suffix else longer.name
            name, number = longer.with_name(f"{stem}_{number}{suffix}"), number + 1
        used.add(str(name).casefold())
        names.append(name)
    return names


def subject(scan: Path, folder: Path) -> str | None:
    """Return the subject of a scan in a BIDS folder, such as "sub-01"; None otherwise.

    It is the name of a folder below `folder`, or the beginning of the file name.
    """
    parts = scan.relative_to(folder).parts if scan != folder else (scan.name,)
    matches = (_SUBJECT.fullmatch(part) for part in parts)
    return next((match[1] for match in matches if match), None)


def _longer(scan: FoundScan, form: str) -> str:
    if not scan.path.is_file():
        return f"{scan.name}_dicom"
    return scan.path.name.replace(".", "_") if form == DICOM else scan.path.name
