"""The job "increase-all": process each scan of a folder in a child process; a scan that fails does not stop the batch."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ..child import command, environment
from ..errors import SynthesisError
from ..ranks import rank_and_size
from ..volume.files import READABLE, read_header
from ..volume.folders import scans_below
from . import provenance, result_folder
from .batch_names import outputs, subject
from .dicom_output import check_format
from .increase_request import DICOM, FILE, IncreaseRequest, to_json
from .progress_bars import Board


@dataclass(frozen=True)
class Task:
    """One scan of a batch.

    Attributes:
        source: path of the scan; output: path of its result.
        series: DICOM series, if the folder contains several.
        subject: subject of the scan, if it is a file in a BIDS folder.
    """

    source: Path
    output: Path
    series: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Summary:
    """Result of a batch.

    Attributes:
        done, skipped: number of scans.
        failures: one sentence per failed scan.
        left_out: one sentence per input that is not a CT, or already a result.
        remarks: remarks on single scans.
    """

    done: int
    skipped: int
    failures: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


Tell = Callable[[dict[str, Any]], None]
"""Called once per scan: "input", "series", "output", "status" (STATUS), "reason" and "sentence" (if failed), "remarks"."""
DONE, SKIPPED, LEFT_OUT, FAILED = STATUS = ("done", "skipped", "left-out", "failed")


def increase_all(
    folder: str, out: str, template: IncreaseRequest, jobs: int = 1, tell: Tell = lambda facts: None
) -> Summary:
    """Increase the slice resolution of every scan below a folder.

    Results are written to `out` under the scans' relative names, as NRRD or as folders of DICOM series. An existing result of
    the same scan and options is skipped, so an interrupted run continues where it stopped; one with other provenance is a
    failure unless `overwrite` is set. Under torchrun, each rank processes its share of the scans.

    Args:
        folder: searched recursively for volume files and DICOM series.
        out: output folder; created if missing.
        template: options for every scan; its input, output and series are replaced.
        jobs: number of scans processed at a time; they share the CPU cores.
        tell: see Tell; called from several threads, but never concurrently.

    Raises:
        SynthesisError: "bad-input" (no scan found), "bad-option" or "cannot-write".
    """
    if jobs < 1:
        raise SynthesisError("bad-option", f"The number of jobs must be at least 1, not {jobs}.")
    check_format(template)
    tasks = _share(find_tasks(Path(folder), Path(out), template.format))
    template = replace(template, only_ct=True)
    existing = [task for task in tasks if not template.overwrite and os.path.lexists(task.output)]
    conflicts = {task: _conflict(task, template) for task in existing}
    for task, sentence in conflicts.items():
        tell(_facts(task, _End("cannot-write", sentence) if sentence else _End(), SKIPPED))
    failures = [sentence for sentence in conflicts.values() if sentence]
    pending = [task for task in tasks if task not in existing]
    for task in pending:
        result_folder.create(task.output.parent)
    with Board(len(tasks), len(existing)) as board, tempfile.TemporaryDirectory() as notes:
        runner = _Runner(template, Path(notes), board, max(1, (os.cpu_count() or 1) // jobs), tell)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                ends = list(pool.map(runner.run, pending))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runner.stop()
                raise
    left_out = tuple(end.sentence for end in ends if end.reason == "not-ct")
    failed = tuple(end.sentence for end in ends if end.reason and end.reason != "not-ct")
    done = len(pending) - len(left_out) - len(failed)
    remarks = tuple(remark for end in ends for remark in end.remarks)
    return Summary(done, len(existing) - len(failures), (*failures, *failed), left_out, remarks)


def find_tasks(folder: Path, out: Path, form: str = FILE) -> list[Task]:
    """Return every scan below `folder`, sorted by path; `form` is the format of the results, "file" or "dicom".

    Raises:
        SynthesisError: "bad-input" if there is none.
    """
    if not folder.is_dir():
        raise SynthesisError("bad-input", f"The folder {folder} does not exist; check its name.")
    scans = scans_below(folder, without=out)
    tasks = [
        Task(scan.path, output, scan.series, subject(scan.path, folder) if scan.path.is_file() else None)
        for scan, output in zip(scans, outputs(scans, folder, out, form), strict=True)
    ]
    if not tasks:
        message = f"{folder} holds no scans: neither {', '.join(READABLE)} files nor DICOM series"
        raise SynthesisError("bad-input", f"{message}; give the folder above them.")
    return tasks


def _conflict(task: Task, template: IncreaseRequest) -> str | None:
    """Return a message if the existing result differs from the one that would be created; None if it does not."""
    request = _request(task, template)
    try:
        different = provenance.differences(read_header(task.output).origin, provenance.marks(request))
    except SynthesisError as error:
        different = f"in a way that cannot be told ({error})"
    if not different:
        return None
    message = f"{task.source}: {task.output} already exists, but it was made {different}"
    return f"{message}; allow overwriting, or choose another folder for the results."


def _request(task: Task, template: IncreaseRequest) -> IncreaseRequest:
    task_request = replace(template, input=str(task.source), output=str(task.output), series=task.series)
    if template.format == DICOM and task.subject:  # the subject label comes from the data, it is not invented
        task_request = replace(
            task_request,
            patient_id=task_request.patient_id or task.subject,
            patient_name=task_request.patient_name or task.subject,
        )
    return task_request


def _facts(task: Task, end: _End, well: str) -> dict[str, Any]:
    """Return the facts passed to `tell`; `well` is the status without an error."""
    status = (LEFT_OUT if end.reason == "not-ct" else FAILED) if end.reason else well
    return {
        "input": str(task.source),
        "series": task.series,
        "output": str(task.output),
        "status": status,
        "reason": end.reason or None,
        "sentence": end.sentence or None,
        "remarks": end.remarks,
    }


def _share(tasks: list[Task]) -> list[Task]:
    """Return the scans of this rank: all of them, unless torchrun started several processes."""
    rank, size = rank_and_size()
    return tasks[rank::size]


@dataclass(frozen=True)
class _End:
    """Outcome of one scan: reason and sentence if it failed, and remarks."""

    reason: str = ""
    sentence: str = ""
    remarks: list[str] = field(default_factory=list)


class _Runner:
    """Runs scans as `ctslices run` child processes, and shows their progress."""

    def __init__(self, template: IncreaseRequest, notes: Path, board: Board, threads: int, tell: Tell) -> None:
        self._template, self._notes, self._board, self._tell = template, notes, board, tell
        self._environment = environment(OMP_NUM_THREADS=str(threads))
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped, self._lock = False, Lock()

    def run(self, task: Task) -> _End:
        """Process one scan."""
        note = self._notes / f"{uuid.uuid4().hex}.json"
        note.write_text(to_json(_request(task, self._template)), encoding="utf-8", errors="surrogatepass")
        label = task.output.name
        name = f"{task.source}{'' if task.series is None else ' ' + task.series}"
        process = self._start(note)
        if process is None:
            return _End()
        end = self._watch(process, name, label)
        with self._lock:
            self._running.discard(process)
            self._tell(_facts(task, end, DONE))
        self._board.finish(label)
        return end

    def _watch(self, process: subprocess.Popen[str], name: str, label: str) -> _End:
        """Show the progress of a scan until its process ends; return the outcome."""
        last, remarks = dict[str, Any](), list[str]()
        with process:
            for line in process.stdout or ():
                last = self._parse(line) or last
                if last.get("event") == "progress":
                    self._board.show(label, last["stage"], last["done"], last["total"])
                elif last.get("event") == "remark":
                    remarks.append(f"{name}: {last['sentence']}")
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
    def _parse(line: str) -> dict[str, Any] | None:
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return event

    def stop(self) -> None:
        """Terminate the running children; each cleans up after itself."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
