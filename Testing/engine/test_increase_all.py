"""Batch processing: one process per scan, failures listed, finished scans skipped, work shared under torchrun."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase_all import find_tasks, increase_all
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume.files import read, write

CUBIC = IncreaseRequest(input="", output="", method="cubic")


@pytest.fixture
def cohort(make_scan, tmp_path):
    """Two scans, one in a subfolder, and a file that is not a scan."""
    folder = tmp_path / "scans"
    (folder / "späte Fälle").mkdir(parents=True)
    write(make_scan(), folder / "one.nrrd")
    write(make_scan(), folder / "späte Fälle" / "two.nii.gz")
    (folder / "rubbish.nrrd").write_bytes(b"no scan")
    return folder


def test_every_scan_is_processed_despite_a_bad_one(cohort, tmp_path):
    summary = increase_all(str(cohort), str(tmp_path / "out"), CUBIC)
    assert (summary.done, summary.skipped) == (2, 0)
    assert len(summary.failures) == 1
    assert "rubbish.nrrd" in summary.failures[0]
    results = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.nrrd"))
    assert results == [Path("one.nrrd"), Path("späte Fälle/two.nrrd")]
    thick = read(cohort / "one.nrrd")
    assert np.array_equal(read(tmp_path / "out" / "one.nrrd").voxels[::2], thick.voxels)


def test_existing_results_are_skipped(cohort, tmp_path):
    increase_all(str(cohort), str(tmp_path / "out"), CUBIC)
    kept = (tmp_path / "out" / "one.nrrd").stat().st_mtime_ns
    (tmp_path / "out" / "späte Fälle" / "two.nrrd").unlink()
    summary = increase_all(str(cohort), str(tmp_path / "out"), CUBIC, jobs=2)
    assert (summary.done, summary.skipped, len(summary.failures)) == (1, 1, 1)
    assert (tmp_path / "out" / "one.nrrd").stat().st_mtime_ns == kept


def test_results_within_the_folder_are_not_processed(cohort):
    tasks = find_tasks(cohort, cohort / "out")
    increase_all(str(cohort), str(cohort / "out"), CUBIC)
    assert find_tasks(cohort, cohort / "out") == tasks


def test_each_series_of_a_dicom_folder_is_a_scan(write_dicom_stack, tmp_path):
    folder = tmp_path / "scans" / "patient"
    for uid in ("1.2.3.4", "1.2.3.5"):
        write_dicom_stack(folder, [(0, 0, 3.0 * k) for k in range(6)], series=uid)
    tasks = find_tasks(tmp_path / "scans", tmp_path / "out")
    assert [task.series for task in tasks] == ["1.2.3.4", "1.2.3.5"]
    summary = increase_all(str(tmp_path / "scans"), str(tmp_path / "out"), CUBIC)
    assert summary.done == 2, summary.failures
    assert len({task.output for task in tasks}) == 2


def test_under_torchrun_the_ranks_share_the_scans(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    counts = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        summary = increase_all(str(cohort), str(tmp_path / "out"), CUBIC)
        counts.append(summary.done + len(summary.failures))
        assert summary.skipped == 0
    assert sum(counts) == 3
    assert max(counts) == 2


@pytest.mark.parametrize(("folder", "jobs"), [("missing", 1), ("empty", 1), ("scans", 0)])
def test_an_empty_batch_is_reported_in_one_sentence(cohort, tmp_path, folder, jobs):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynthesisError):
        increase_all(str(tmp_path / folder), str(tmp_path / "out"), CUBIC, jobs)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_stops_the_children_and_a_second_start_continues(cohort, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "CTSliceSynthesisEngine", "increase-all", str(cohort), str(out)]
    engine = str(Path(__file__).parents[2] / "CTSliceSynthesis")
    process = subprocess.Popen([*command, "--method", "cubic"], env={**os.environ, "PYTHONPATH": engine})
    while not (out / "one.nrrd").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (130, 3)  # 3: it finished before the signal arrived
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    summary = increase_all(str(cohort), str(out), CUBIC)
    assert summary.skipped >= 1
    assert summary.done + summary.skipped == 2
