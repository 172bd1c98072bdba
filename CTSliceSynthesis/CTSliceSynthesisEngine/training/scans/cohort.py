"""The scans a model learns from, and those it is measured on: looked at once, each with a line that says why."""

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
"""In place of names of scans to hold out: learn from all, and measure nothing."""

_SHARED_SLICES = 3  # so many slices in common, voxel by voxel, are no chance
_HELD_OUT_SHARE = 0.1  # of the patients, where the user names none; at least one
_MOST_HELD_OUT = 20  # patients: measuring whole scans takes a minute each


@dataclass(frozen=True)
class Entry:
    """What became of one scan.

    Attributes:
        name: of the scan.
        use: DENSE (its own slices are truths for others), THICK (its slices' planes are), HELD_OUT or LEFT_OUT.
        why: the reason, in words.
        scan: None where it could not be read.
        patient: a hash, or the name where nothing else is known.
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
        """For people."""
        return f"{self.name}: {self.use}, {self.why}"


@dataclass(frozen=True)
class Cohort:
    """The scans of a run.

    Attributes:
        entries: every scan that was found, in the order of their paths.
        held_out: what the model is measured on; slices of a training scan where there is one patient only.
        learned_from: what it learns from.
        remark: what was done instead where no patient could be held out; "" otherwise.
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
    """Look at every scan of a cohort. One bad scan ends nothing.

    Args:
        cohort: a folder of DICOM series and NRRD, NIfTI or MHA files, searched with its subfolders; or a text file with
            one path a line, relative to the list's own folder.
        cache: where the scans are converted to.
        sources: what is known of them beyond their files: scan name -> source.
        holdout: names of scans to measure on, or paths of others; NO_HOLDOUT for none; by default a tenth of the
            patients (20 at most), drawn by the seed.
        seed: of that draw.
        dense_spacing: mm; up to this a scan's own slices serve as truths.
        say: gets a line for each scan.
        progress: told (stage, scans looked at, scans in all).

    Raises:
        SynthesisError: "bad-input": no scan to learn from, or one to hold out that is not there; "cannot-write".
    """
    found = _named(find(cohort))
    wanted = [name for name in holdout if name != NO_HOLDOUT]
    found |= _outside(wanted, found)
    entries: list[Entry] = []
    for name, scan in found.items():
        progress("scans", len(entries), len(found))
        source = sources.get(name)
        is_told = source is not None and source.source != NOT_GIVEN
        shown = name if is_told or (scan.path.is_file() and os.sep not in name) else f"scan {len(entries) + 1}"
        entries.append(_entry(name, shown, scan, cache, source, dense_spacing))
    progress("scans", len(found), len(found))
    _check_usable(entries, cohort)
    unique = without_doubles(entries, first=wanted)
    if not holdout:
        wanted = _drawn(unique, seed)
    divided = [_divided(entry, unique, wanted) for entry in unique]
    _check_usable(divided, cohort)
    for entry in divided:
        say(entry.line)
    return _cohort(divided, measure=NO_HOLDOUT not in holdout)


def find(cohort: Path) -> list[FoundScan]:
    """The scans of a folder or a list file; or a single scan.

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
    """Scans by name; where two have the same, by path."""
    names = [scan.name for scan in found]
    return {scan.name if names.count(scan.name) == 1 else str(scan.path): scan for scan in found}


def _outside(wanted: list[str], found: Mapping[str, FoundScan]) -> dict[str, FoundScan]:
    """Scans to hold out that are given as paths, outside of the cohort."""
    others = {name: list(scans_at(Path(name))) for name in wanted if name not in found}
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
    """One scan looked at, its use still open between DENSE and LEFT_OUT.

    `shown` is what model cards and reports call it, which travel: names of folders are often those of patients, and stay
    here unless the user's own table of sources names the scan.
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
    told = f"{thickness:.3g} mm thick" if thickness else "of unknown thickness, taken as that"
    why = f"{facts.shape[0]} slices every {facts.slice_spacing:.3g} mm, {told}"
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


def without_doubles(entries: Sequence[Entry], first: Sequence[str] = ()) -> list[Entry]:
    """The same scan under two names counts once, under the first; names in `first` come before all others."""
    kept: list[Entry] = []
    outcome: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.name not in first):
        same = next((other for other in kept if _is_same(entry, other)), None)
        if entry.use == LEFT_OUT or same is None:
            outcome[entry.name] = entry
            kept += [entry] if entry.use != LEFT_OUT else []
        else:
            outcome[entry.name] = replace(entry, use=LEFT_OUT, why=f"it has the same slices as {same.name}")
    return [outcome[entry.name] for entry in entries]


def _is_same(entry: Entry, other: Entry) -> bool:
    return len(entry.slices & other.slices) >= _SHARED_SLICES


def _drawn(entries: Sequence[Entry], seed: int) -> list[str]:
    """Names of the scans of a tenth of the patients; none where there is one patient only."""
    patients = sorted({entry.patient for entry in entries if entry.use != LEFT_OUT})
    if len(patients) < 2:
        return []
    count = min(_MOST_HELD_OUT, max(1, round(_HELD_OUT_SHARE * len(patients))))
    drawn = {patients[n] for n in np.random.default_rng(seed).permutation(len(patients))[:count]}
    return [entry.name for entry in entries if entry.patient in drawn and entry.use != LEFT_OUT]


def _divided(entry: Entry, entries: Sequence[Entry], wanted: Sequence[str]) -> Entry:
    """The entry with its final use: patients are on one side only."""
    if entry.use == LEFT_OUT:
        if entry.name in wanted:
            raise SynthesisError("bad-input", f"{entry.name} cannot be held out: {entry.why}; choose another.")
        return entry
    if entry.name in wanted:
        return replace(entry, use=HELD_OUT)
    patients = {other.patient: other.name for other in entries if other.name in wanted}
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
        remark = "" if held_out else "No scan was held out, as was asked for: nothing is measured."
        return Cohort(tuple(entries), learned_from, held_out, remark)
    return _one_patient(entries, learned_from)


def _one_patient(entries: list[Entry], scans: list[TrainingScan]) -> Cohort:
    """The upper quarter of the longest scan is held out, with a gap of two slices; or nothing, where it is too short."""
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
