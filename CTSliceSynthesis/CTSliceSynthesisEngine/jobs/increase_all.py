"""The job "increase-all": every scan of a folder, each in a process of its own, so that one bad scan ends nothing."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ..child import command, environment
from ..errors import SynthesisError
from ..ranks import rank_and_size
from ..volume.files import READABLE, read_header
from ..volume.folders import FoundScan, scans_below
from . import provenance, result_folder
from .increase_request import IncreaseRequest, to_json
from .progress_bars import Board


@dataclass(frozen=True)
class Task:
    """One scan to do: where it is, where its result goes, and which series it is where its folder holds several."""

    source: Path
    output: Path
    series: str | None = None


@dataclass(frozen=True)
class Summary:
    """How it went.

    Attributes:
        done, skipped: numbers of scans.
        failures: a sentence for each that failed.
        left_out: a sentence for each that is no CT, or a result of ours.
        remarks: what was said of single scans.
    """

    done: int
    skipped: int
    failures: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def increase_all(folder: str, out: str, template: IncreaseRequest, jobs: int = 1) -> Summary:
    """Increase the slice resolution of every scan below a folder.

    Results lie in `out` under the scans' own relative names, as NRRD. Those that are there already, made from the same scan
    in the same way, are skipped, so a run that was stopped goes on where it was; one that was made otherwise is a failure,
    unless it may be overwritten. Under torchrun, each rank takes its share of the scans.

    Args:
        folder: searched with all its subfolders for volume files and DICOM series.
        out: made if it is missing.
        template: options for every scan; its input, output and series are replaced.
        jobs: how many scans at a time; they share the processor's cores.

    Raises:
        SynthesisError: "bad-input" (no scan found), "bad-option" or "cannot-write".
    """
    if jobs < 1:
        raise SynthesisError("bad-option", f"The number of jobs is at least 1, not {jobs}.")
    tasks = _share(find_tasks(Path(folder), Path(out)))
    template = replace(template, only_ct=True)
    there = [task for task in tasks if not template.overwrite and os.path.lexists(task.output)]
    failures = [sentence for task in there if (sentence := _made_otherwise(task, template))]
    waiting = [task for task in tasks if task not in there]
    for task in waiting:
        result_folder.made(task.output.parent)
    with Board(len(tasks), len(there)) as board, tempfile.TemporaryDirectory() as notes:
        runner = _Runner(template, Path(notes), board, max(1, (os.cpu_count() or 1) // jobs))
        with ThreadPoolExecutor(jobs) as pool:
            try:
                ends = list(pool.map(runner.run, waiting))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runner.stop()
                raise
    left_out = tuple(end.sentence for end in ends if end.reason == "not-ct")
    failed = tuple(end.sentence for end in ends if end.reason and end.reason != "not-ct")
    done = len(waiting) - len(left_out) - len(failed)
    remarks = tuple(remark for end in ends for remark in end.remarks)
    return Summary(done, len(there) - len(failures), (*failures, *failed), left_out, remarks)


def find_tasks(folder: Path, out: Path) -> list[Task]:
    """Every scan below `folder`, in the order of their paths.

    Raises:
        SynthesisError: "bad-input" if there is none.
    """
    if not folder.is_dir():
        raise SynthesisError("bad-input", f"The folder {folder} does not exist; check its name.")
    scans = scans_below(folder, without=out)
    tasks = [
        Task(scan.path, output, scan.series) for scan, output in zip(scans, _outputs(scans, folder, out), strict=True)
    ]
    if not tasks:
        message = f"{folder} holds no scans: neither {', '.join(READABLE)} files nor DICOM series"
        raise SynthesisError("bad-input", f"{message}; give the folder above them.")
    return tasks


def _outputs(scans: list[FoundScan], folder: Path, out: Path) -> list[Path]:
    """A name for each result that no other has, on file systems that do not tell capitals from small letters either.

    scan.nrrd                   -> scan.nrrd
    scan.nrrd, scan.nii.gz      -> scan.nrrd.nrrd, scan.nii.gz.nrrd: the suffix stays where it tells scans apart
    scan/ beside them           -> scan_dicom.nrrd
    """
    parents = [out / ("." if scan.path == folder else scan.path.relative_to(folder).parent) for scan in scans]
    short = [parent / f"{scan.name}.nrrd" for scan, parent in zip(scans, parents, strict=True)]
    full = [
        parent / (f"{scan.path.name}.nrrd" if scan.path.is_file() else f"{scan.name}_dicom.nrrd")
        for scan, parent in zip(scans, parents, strict=True)
    ]
    taken = Counter(str(path).casefold() for path in short)
    names: list[Path] = []
    used: set[str] = set()
    for own, longer in zip(short, full, strict=True):
        name = own if taken[str(own).casefold()] == 1 else longer
        number = 2
        while str(name).casefold() in used:
            name, number = longer.with_name(f"{longer.stem}_{number}.nrrd"), number + 1
        used.add(str(name).casefold())
        names.append(name)
    return names


def _made_otherwise(task: Task, template: IncreaseRequest) -> str | None:
    """A sentence where the result that is there is not the one that would be made; None where it is."""
    request = _request(task, template)
    try:
        different = provenance.differences(read_header(task.output).origin, provenance.marks(request))
    except SynthesisError as error:
        different = f"in a way that cannot be told ({error})"
    if not different:
        return None
    message = f"{task.source}: {task.output} is there already, but it was made {different}"
    return f"{message}; allow overwriting, or choose another folder for the results."


def _request(task: Task, template: IncreaseRequest) -> IncreaseRequest:
    return replace(template, input=str(task.source), output=str(task.output), series=task.series)


def _share(tasks: list[Task]) -> list[Task]:
    """This process's part of the scans: all of them, unless torchrun started several."""
    rank, size = rank_and_size()
    return tasks[rank::size]


@dataclass(frozen=True)
class _End:
    """How one scan ended: reason and sentence where it failed, and what was said of it."""

    reason: str = ""
    sentence: str = ""
    remarks: list[str] = field(default_factory=list)


class _Runner:
    """Runs one scan after the other as `ctslices run`, and shows how far each is."""

    def __init__(self, template: IncreaseRequest, notes: Path, board: Board, threads: int) -> None:
        self._template, self._notes, self._board = template, notes, board
        self._environment = environment(OMP_NUM_THREADS=str(threads))
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped, self._lock = False, Lock()

    def run(self, task: Task) -> _End:
        """Do one scan."""
        note = self._notes / f"{uuid.uuid4().hex}.json"
        note.write_text(to_json(_request(task, self._template)), encoding="utf-8", errors="surrogatepass")
        label, last, remarks = task.output.name, dict[str, Any](), list[str]()
        name = f"{task.source}{'' if task.series is None else ' ' + task.series}"
        process = self._start(note)
        if process is None:
            return _End()
        with process:
            for line in process.stdout or ():
                last = self._parsed(line) or last
                if last.get("event") == "progress":
                    self._board.show(label, last["stage"], last["done"], last["total"])
                elif last.get("event") == "remark":
                    remarks.append(f"{name}: {last['sentence']}")
        with self._lock:
            self._running.discard(process)
        self._board.finish(label)
        if last.get("event") == "result" and process.returncode == 0:
            return _End(remarks=remarks)
        message = last.get("message") or f"the process ended with status {process.returncode} and no word"
        return _End(last.get("reason") or "internal", f"{name}: {message}", remarks)

    def _start(self, note: Path) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                command("__main__", "main", "run", str(note)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                env=self._environment,
            )
            self._running.add(process)
        return process

    @staticmethod
    def _parsed(line: str) -> dict[str, Any] | None:
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return event

    def stop(self) -> None:
        """End what runs; each child cleans up after itself."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
