"""The job "increase-all": every scan of a folder, each in a process of its own, so that one bad scan ends nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import SynthesisError
from ..volume.files import READABLE
from ..volume.folders import scans_below
from . import folders
from .progress import Board
from .request import IncreaseRequest, to_json


@dataclass(frozen=True)
class Task:
    """One scan to do: where it is, where its result goes, and which series it is where its folder holds several."""

    source: Path
    output: Path
    series: str | None = None


@dataclass(frozen=True)
class Summary:
    """How it went: numbers of scans done and skipped, and a sentence for each that failed."""

    done: int
    skipped: int
    failures: tuple[str, ...]


def increase_all(folder: str, out: str, template: IncreaseRequest, jobs: int = 1) -> Summary:
    """Increase the slice resolution of every scan below a folder.

    Results lie in `out` under the scans' own relative names, as NRRD. Those that are there already are skipped, so a run
    that was stopped goes on where it was. Under torchrun, each rank takes its share of the scans.

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
    waiting = [task for task in tasks if template.overwrite or not task.output.exists()]
    for task in waiting:
        folders.made(task.output.parent)
    failures: list[str] = []
    with Board(len(tasks), len(tasks) - len(waiting)) as board, tempfile.TemporaryDirectory() as notes:
        runner = _Runner(template, Path(notes), board, max(1, (os.cpu_count() or 1) // jobs))
        with ThreadPoolExecutor(jobs) as pool:
            try:
                failures = [sentence for sentence in pool.map(runner.run, waiting) if sentence]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runner.stop()
                raise
    return Summary(len(waiting) - len(failures), len(tasks) - len(waiting), tuple(failures))


def find_tasks(folder: Path, out: Path) -> list[Task]:
    """Every scan below `folder`, in the order of their paths.

    Raises:
        SynthesisError: "bad-input" if there is none.
    """
    if not folder.is_dir():
        raise SynthesisError("bad-input", f"The folder {folder} does not exist; check its name.")
    tasks = [
        Task(scan.path, out / scan.path.relative_to(folder).parent / f"{scan.name}.nrrd", scan.series)
        for scan in scans_below(folder, without=out)
    ]
    if not tasks:
        message = f"{folder} holds no scans: neither {', '.join(READABLE)} files nor DICOM series"
        raise SynthesisError("bad-input", f"{message}; give the folder above them.")
    return tasks


def _share(tasks: list[Task]) -> list[Task]:
    """This process's part of the scans: all of them, unless torchrun started several."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    return tasks[rank::world]


class _Runner:
    """Runs one scan after the other as `ctslices run`, and shows how far each is."""

    def __init__(self, template: IncreaseRequest, notes: Path, board: Board, threads: int) -> None:
        self._template, self._notes, self._board = template, notes, board
        engine = Path(__file__).resolve().parents[2]  # children find it where this process did, installed or not
        path = os.pathsep.join(filter(None, [str(engine), os.environ.get("PYTHONPATH")]))
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path}
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped, self._lock = False, Lock()

    def run(self, task: Task) -> str | None:
        """Do one scan; a sentence when it fails."""
        request = replace(self._template, input=str(task.source), output=str(task.output), series=task.series)
        note = self._notes / f"{abs(hash(task))}.json"
        note.write_text(to_json(request), encoding="utf-8")
        label, last = task.output.name, dict[str, Any]()
        process = self._start(note)
        if process is None:
            return None
        with process:
            for line in process.stdout or ():
                last = self._parsed(line) or last
                if last.get("event") == "progress":
                    self._board.show(label, last["stage"], last["done"], last["total"])
        with self._lock:
            self._running.discard(process)
        self._board.finish(label)
        if last.get("event") == "result" and process.returncode == 0:
            return None
        reason = last.get("message") or f"the process ended with status {process.returncode} and no word"
        return f"{task.source}{'' if task.series is None else ' ' + task.series}: {reason}"

    def _start(self, note: Path) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "CTSliceSynthesisEngine.jobs.commands", "run", str(note)],
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
