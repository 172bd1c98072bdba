"""Divides the scans of a cohort into training and held-out scans, with a reason for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import SynthesisError
from ...volume.folders import FoundScan, scans_at, scans_below
from .crops import DENSE_SPACING
from .scan import MIN_PIXELS, MIN_SLICES, TrainingScan
from .scan_cache import ScanCache
from .source_table import NOT_GIVEN, Source
from .text_file import read_text

DENSE, THICK, HELD_OUT, LEFT_OUT = "dense", "thick", "held out", "left out"

NO_HOLDOUT = "none"
"""Instead of names of scans to hold out: train on all scans and skip the validation."""

_SHARED_SLICES = 3  # this many identical slices cannot be a coincidence
_HELD_OUT_SHARE = 0.1  # of the patients, if the user names none; at least one
_MOST_HELD_OUT = 20  # patients: evaluating a whole scan takes a minute


@dataclass(frozen=True)
class Entry:
    """One scan of a cohort, and its use.

    Attributes:
        name: name of the scan.
        use: DENSE (its slices are ground truth for others), THICK (used in-plane only), HELD_OUT or LEFT_OUT.
        why: the reason, as text.
        scan: None if it could not be read.
        patient: a hash, or the name of the scan if the patient is unknown.
        slices: hashes of its slices.
    """

    name: str
    use: str
    why: str
    scan: TrainingScan | None = None
    patient: str = ""
    slices: frozenset[str] = frozenset()

    @property
    def line(self) -> str:
        """Text for users."""
        return f"{self.name}: {self.use}, {self.why}"


@dataclass(frozen=True)
class Cohort:
    """The scans of a run.

    Attributes:
        entries: every scan found, sorted by path.
        held_out: validation scans; slices of a training scan if there is only one patient.
        learned_from: training scans.
        remark: explanation if no patient could be held out; "" otherwise.
    """

    entries: tuple[Entry, ...]
    learned_from: list[TrainingScan] = field(default_factory=list)
    held_out: list[TrainingScan] = field(default_factory=list)
    remark: str = ""


def survey(
    cohort: Path,
    cache: ScanCache,
    sources: Mapping[str, Source],
    holdout: Sequence[str] = (),
    seed: int = 0,
    dense_spacing: float = DENSE_SPACING,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Cohort:
    """Read and divide the scans of a cohort. A scan that cannot be read is left out.

    Args:
        cohort: a folder of DICOM series and NRRD, NIfTI or MHA files, searched recursively; or a text file with one
            path per line, relative to the folder of that file.
        cache: cache for converted scans.
        sources: known properties beyond the files: scan name -> source.
        holdout: names of validation scans, or paths of others; NO_HOLDOUT for none; by default a tenth of the patients
            (20 at most), drawn at random.
        seed: seed of that draw.
        dense_spacing: largest slice spacing in mm at which slices serve as ground truth.
        say: receives one line per scan.
        progress: called with (stage, scans read, number of scans).

    Raises:
        SynthesisError: "bad-input": no training scan, or a missing validation scan; "cannot-write".
    """
    found = _named(find(cohort))
    held_out_names = [name for name in holdout if name != NO_HOLDOUT]
    found |= _outside(held_out_names, found)
    entries: list[Entry] = []
    for name, scan in found.items():
        progress("scans", len(entries), len(found))
        source = sources.get(name)
        has_source = source is not None and source.source != NOT_GIVEN
        shown = name if has_source or (scan.path.is_file() and os.sep not in name) else f"scan {len(entries) + 1}"
        entries.append(_entry(name, shown, scan, cache, source, dense_spacing))
    progress("scans", len(found), len(found))
    _check_usable(entries, cohort)
    unique = remove_duplicates(entries, first=held_out_names)
    if not holdout:
        held_out_names = _draw_holdout(unique, seed)
    assigned = [_assign(entry, unique, held_out_names) for entry in unique]
    _check_usable(assigned, cohort)
    for entry in assigned:
        say(entry.line)
    return _cohort(assigned, measure=NO_HOLDOUT not in holdout)


def find(cohort: Path) -> list[FoundScan]:
    """Find the scans of a folder or a list file, or a single scan.

    Raises:
        SynthesisError: "bad-input".
    """
    try:
        if cohort.is_dir():
            return scans_below(cohort)
        if cohort.is_file() and (scan := list(scans_at(cohort))):
            return scan
        lines = [line.strip() for line in read_text(cohort).splitlines()]
    except (OSError, ValueError) as error:
        message = f"The cohort {cohort} cannot be read ({getattr(error, 'strerror', None) or 'not a text file'})"
        raise SynthesisError("bad-input", f"{message}: give a folder of CT scans, or a list of paths.") from error
    paths = [cohort.parent / line for line in lines if line and not line.startswith("#")]
    return [scan for path in paths for scan in (list(scans_at(path)) or [FoundScan(path)])]


def _named(found: list[FoundScan]) -> dict[str, FoundScan]:
    """Return scans by name; those with equal names by path."""
    names = [scan.name for scan in found]
    return {scan.name if names.count(scan.name) == 1 else str(scan.path): scan for scan in found}


def _outside(held_out_names: list[str], found: Mapping[str, FoundScan]) -> dict[str, FoundScan]:
    """Return scans to hold out that are given as paths outside the cohort."""
    others = {name: list(scans_at(Path(name))) for name in held_out_names if name not in found}
    missing = [name for name, scans in others.items() if len(scans) != 1]
    if missing:
        listed = ", ".join(list(found)[:20])
        raise SynthesisError(
            "bad-input", f"{missing[0]} to hold out is not a scan, and not among {listed}: check its name."
        )
    return {name: scans[0] for name, scans in others.items()}


def _entry(
    name: str, shown: str, found: FoundScan, cache: ScanCache, source: Source | None, dense_spacing: float
) -> Entry:
    """Read one scan; its use is preliminary, HELD_OUT is decided later.

    `shown` is its name in model cards and reports, which are shared: folder names often contain patient names, and are not
    disclosed unless the user's table of sources names the scan.
    """
    try:
        cached = cache.get(found)
    except SynthesisError as error:
        if error.reason == "cannot-write":
            raise
        return Entry(name, LEFT_OUT, str(error))
    facts = cached.facts
    thickness = source.thickness if source else facts.thickness
    scan = TrainingScan(
        shown, cached.whole, facts.slice_spacing, facts.pixel_spacing, thickness or facts.slice_spacing, cached.half
    )
    thickness_text = f"{thickness:.3g} mm thick" if thickness else "of unknown thickness, taken as that"
    why = f"{facts.shape[0]} slices every {facts.slice_spacing:.3g} mm, {thickness_text}"
    patient = (source.patient if source else "") or facts.patient or name
    use = DENSE if scan.slice_spacing <= dense_spacing else THICK
    entry = Entry(name, use, why, scan, patient, frozenset(facts.slices))
    if not facts.is_ct:
        return replace(entry, use=LEFT_OUT, why="its values do not look like HU: only CT can be learned from")
    if facts.shape[0] < MIN_SLICES or min(facts.shape[1:]) < MIN_PIXELS:
        size = " x ".join(str(n) for n in facts.shape)
        needed = f"at least {MIN_SLICES} slices of {MIN_PIXELS} x {MIN_PIXELS} pixels are needed"
        return replace(entry, use=LEFT_OUT, why=f"{needed}, it has {size}")
    return entry


def remove_duplicates(entries: Sequence[Entry], first: Sequence[str] = ()) -> list[Entry]:
    """Leave out duplicates of a scan, keeping the first; names in `first` take precedence."""
    unique: list[Entry] = []
    outcome: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.name not in first):
        same = next((other for other in unique if _is_same(entry, other)), None)
        if entry.use == LEFT_OUT or same is None:
            outcome[entry.name] = entry
            unique += [entry] if entry.use != LEFT_OUT else []
        else:
            outcome[entry.name] = replace(entry, use=LEFT_OUT, why=f"it has the same slices as {same.name}")
    return [outcome[entry.name] for entry in entries]


def _is_same(entry: Entry, other: Entry) -> bool:
    return len(entry.slices & other.slices) >= _SHARED_SLICES


def _draw_holdout(entries: Sequence[Entry], seed: int) -> list[str]:
    """Draw a tenth of the patients and return the names of their scans; none if there is only one patient."""
    patients = sorted({entry.patient for entry in entries if entry.use != LEFT_OUT})
    if len(patients) < 2:
        return []
    count = min(_MOST_HELD_OUT, max(1, round(_HELD_OUT_SHARE * len(patients))))
    drawn = {patients[n] for n in np.random.default_rng(seed).permutation(len(patients))[:count]}
    return [entry.name for entry in entries if entry.patient in drawn and entry.use != LEFT_OUT]


def _assign(entry: Entry, entries: Sequence[Entry], held_out_names: Sequence[str]) -> Entry:
    """Return the entry with its final use; a patient is never both in training and validation."""
    if entry.use == LEFT_OUT:
        if entry.name in held_out_names:
            raise SynthesisError("bad-input", f"{entry.name} cannot be held out: {entry.why}; choose another.")
        return entry
    if entry.name in held_out_names:
        return replace(entry, use=HELD_OUT)
    patients = {other.patient: other.name for other in entries if other.name in held_out_names}
    if entry.patient in patients:
        return replace(entry, use=LEFT_OUT, why=f"it shows the same patient as {patients[entry.patient]}, held out")
    return entry


def _check_usable(entries: Sequence[Entry], cohort: Path) -> None:
    if any(entry.use in (DENSE, THICK) for entry in entries):
        return
    reasons = "; ".join(entry.line for entry in entries[:8])
    raise SynthesisError(
        "bad-input",
        f"{cohort} holds {len(entries)} scans and none to learn from"
        + (f" ({reasons})" if reasons else "")
        + ": give a folder or a list of CT scans.",
    )


def _cohort(entries: list[Entry], measure: bool) -> Cohort:
    by_use = {
        use: [entry.scan for entry in entries if entry.use == use and entry.scan] for use in (DENSE, THICK, HELD_OUT)
    }
    learned_from, held_out = by_use[DENSE] + by_use[THICK], by_use[HELD_OUT]
    learned_from.sort(key=lambda scan: scan.name)
    if held_out or not measure:
        remark = "" if held_out else "No scan was held out, as requested: nothing is measured."
        return Cohort(tuple(entries), learned_from, held_out, remark)
    return _one_patient(entries, learned_from)


def _one_patient(entries: list[Entry], scans: list[TrainingScan]) -> Cohort:
    """Hold out the upper quarter of the longest scan, with a gap of two slices; or nothing, if it is too short."""
    longest = max(scans, key=lambda scan: len(scan.voxels))
    count = len(longest.voxels)
    first = count - max(MIN_SLICES, count // 4)
    why = "There is one patient only, so none could be held out"
    if first - 2 < 2 * MIN_SLICES:
        remark = f"{why}, and too few slices to hold out a part: nothing is measured."
        return Cohort(tuple(entries), scans, [], remark)
    remark = f"{why}: the model is measured on the last {count - first} of {count} slices of {longest.name} instead."
    rest = [scan if scan is not longest else scan.slices(0, first - 2) for scan in scans]
    return Cohort(tuple(entries), rest, [longest.slices(first, count)], remark)
