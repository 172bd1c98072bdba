"""What the results of a batch are called, and whom the scans are of where their folders say it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..volume.folders import FoundScan
from .increase_request import DICOM

_SUBJECT = re.compile(r"(sub-[0-9A-Za-z]+)(_.*)?", re.ASCII)


def outputs(scans: Sequence[FoundScan], folder: Path, out: Path, form: str) -> list[Path]:
    """A name for each result that no other has, on file systems that do not tell capitals from small letters either.

    scan.nrrd                   -> scan.nrrd
    scan.nrrd, scan.nii.gz      -> scan.nrrd.nrrd, scan.nii.gz.nrrd: the suffix stays where it tells scans apart
    scan/ beside them           -> scan_dicom.nrrd

    DICOM results are folders, called so too, but without ".nrrd". None lies within another one.

    study/ct with study/ct/late -> study/ct_dicom, study/ct/late

    Args:
        scans: found below `folder`.
        out: folder for the results.
        form: "file" or "dicom".
    """
    suffix = "" if form == DICOM else ".nrrd"
    parents = [out / ("." if scan.path == folder else scan.path.relative_to(folder).parent) for scan in scans]
    short = [parent / f"{scan.name}{suffix}" for scan, parent in zip(scans, parents, strict=True)]
    full = [parent / f"{_longer(scan, form)}{suffix}" for scan, parent in zip(scans, parents, strict=True)]
    taken = Counter(str(path).casefold() for path in short)
    used = {str(above).casefold() for path in short for above in path.parents}
    names: list[Path] = []
    for own, longer in zip(short, full, strict=True):
        name = own if taken[str(own).casefold()] == 1 and str(own).casefold() not in used else longer
        number = 2
        while str(name).casefold() in used:
            stem = longer.name.removesuffix(suffix) if suffix else longer.name
            name, number = longer.with_name(f"{stem}_{number}{suffix}"), number + 1
        used.add(str(name).casefold())
        names.append(name)
    return names


def subject(scan: Path, folder: Path) -> str | None:
    """The subject of a scan in a folder that is laid out as BIDS asks, as "sub-01"; None in others.

    It is the label of a folder below `folder`, or the beginning of the file's name.
    """
    parts = scan.relative_to(folder).parts if scan != folder else (scan.name,)
    found = (_SUBJECT.fullmatch(part) for part in parts)
    return next((match[1] for match in found if match), None)


def _longer(scan: FoundScan, form: str) -> str:
    if not scan.path.is_file():
        return f"{scan.name}_dicom"
    return scan.path.name.replace(".", "_") if form == DICOM else scan.path.name
