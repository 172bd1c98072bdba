"""The jobs "check" and "inspect": metrics with known values, and malicious files."""

import json
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import REASONS
from CTSliceSynthesisEngine.evaluation.holdout import compare, hold_out
from CTSliceSynthesisEngine.evaluation.worst_place import worst_place
from CTSliceSynthesisEngine.jobs.check_request import LEAST_SLICES
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS, from_dict
from CTSliceSynthesisEngine.volume import files


@pytest.fixture
def run(tmp_path, capsys):
    """Run a request and return exit status and events."""

    def run(**fields):
        path = tmp_path / "request.json"
        path.write_text(json.dumps({"version": 1, **fields}), encoding="utf-8")
        status = main(["run", str(path)])
        out, err = capsys.readouterr()
        assert err == ""
        return status, [json.loads(line) for line in out.splitlines()]

    return run


@pytest.fixture
def scan(tmp_path, make_scan):
    """A thick scan of 12 slices, and its file."""
    volume = make_scan()
    files.write(volume, tmp_path / "scan.nrrd")
    return volume, str(tmp_path / "scan.nrrd")


def test_a_check_reports_the_same_metrics_as_an_evaluation(run, scan, tiny_weights):
    volume, path = scan
    status, told = run(job="check", input=path, model=str(tiny_weights), device="cpu")
    assert status == 0
    assert next(event["event"] for event in told) == "started"
    assert {event["stage"] for event in told if event["event"] == "progress"} == {"synthesize", "score"}
    result = told[-1]
    assert result["event"] == "result"
    same = compare(volume, 2, "gap", {})
    for method, row in same.rows.items():
        assert result["methods"][method]["psnr_db"] == pytest.approx(row["psnr_body_db"], abs=1e-3)
        assert result["methods"][method]["mae_hu"] == pytest.approx(row["mae_body_hu"], abs=1e-3)
    assert result["best_classical"] == same.best_classical("psnr_body_db")
    ours, rival = (result["methods"][name]["psnr_db"] for name in ("three-view", result["best_classical"]))
    assert result["gain_db"] == pytest.approx(ours - rival, abs=1e-3)
    assert result["gain_db"] < 0  # random weights
    assert (result["counted"], result["gap_mm"]) == (5, 10)
    assert result["worst"]["slice_number"] % 2 == 1
    assert result["model_sha256"] == load(tiny_weights).sha256


def test_a_scan_with_too_few_slices_is_refused(run, tmp_path, make_scan, tiny_weights):
    files.write(make_scan((24, 20, LEAST_SLICES - 1)), tmp_path / "short.nrrd")
    status, told = run(job="check", input=str(tmp_path / "short.nrrd"), model=str(tiny_weights))
    assert status == REASONS["bad-input"]
    assert [event["event"] for event in told] == ["failed"]
    assert f"at least {LEAST_SLICES} slices, found {LEAST_SLICES - 1}" in told[0]["message"]


TILTED = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.2], [0.0, 0.0, 0.98]])


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_worst_place_is_where_the_error_was_put(make_volume, slice_axis):
    size = [60, 60, 60]
    size[slice_axis] = 9
    spacing = [0.8, 0.8, 0.8]
    spacing[slice_axis] = 4.0
    truth = make_volume(size, spacing, directions=TILTED, slice_axis=slice_axis, voxels=np.zeros(size[::-1], np.int16))
    _, truth = hold_out(truth, 2, "gap")
    at = [30, 20, 40]
    at[slice_axis] = 3
    wrong = truth.voxels.copy()
    block = [slice(n - 5, n + 6) for n in at]
    block[slice_axis] = slice(3, 4)
    wrong[tuple(reversed(block))] = 100
    single = [5, 5, 5]
    single[slice_axis] = 5
    wrong[tuple(reversed(single))] = 2000  # a single bad voxel does not count
    even = [50, 50, 50]
    even[slice_axis] = 4
    wrong[tuple(reversed(even))] = 3000  # nor does an acquired slice
    place = worst_place(truth, replace(truth, voxels=wrong), 2)
    assert place.slice_number == 3
    assert place.error_hu == pytest.approx(100, abs=1)
    assert np.linalg.norm(np.array(place.ras) - truth.grid.ras(at)) < 1.5


def test_inspecting_a_weights_file_gives_recipe_card_and_verdict(run, tmp_path):
    model = Model.untrained(PRESETS["tiny"])
    model.card = {"verdict": {"passed": False, "sentence": "Failed: it lost."}}
    digest = save(model, tmp_path / "mine.pt")
    status, told = run(job="inspect", model=str(tmp_path / "mine.pt"))
    assert status == 0
    assert told[-1]["sha256"] == digest
    assert from_dict(told[-1]["recipe"]) == PRESETS["tiny"]
    assert told[-1]["card"] == model.card
    assert told[-1]["failure"] == "Failed: it lost."


class Hostile:
    """Runs a command when unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


def hostile_files(tmp_path, trace):
    import torch

    code = pickle.dumps({"format": 1, "weights": Hostile(trace)}, protocol=2)
    (tmp_path / "pickle.pt").write_bytes(code)
    torch.save({"format": 1, "weights": Hostile(trace)}, tmp_path / "zip.pt")
    with tarfile.open(tmp_path / "tar.pt", "w") as tar:  # the oldest format that PyTorch reads
        for name in ("storages", "tensors", "pickle", "sys_info"):
            (tmp_path / name).write_bytes(code)
            tar.add(tmp_path / name, arcname=name)
    (tmp_path / "polyglot.pt").write_bytes((tmp_path / "tar.pt").read_bytes() + (tmp_path / "zip.pt").read_bytes())
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    return ["pickle.pt", "zip.pt", "tar.pt", "polyglot.pt", "text.pt", "empty.pt"]


def test_a_file_with_code_is_refused_without_executing_it(run, tmp_path):
    trace = tmp_path / "trace"
    for name in hostile_files(tmp_path, trace):
        status, told = run(job="inspect", model=str(tmp_path / name))
        assert status == REASONS["bad-model"], name
        assert [event["event"] for event in told] == ["failed"]
        assert told[0]["message"] == (
            f"The model {name} is damaged, or not a weights file of CTSliceSynthesis: get it again."
        )
    assert not trace.exists()
    exec(f"open({str(trace)!r}, 'w').close()")
    assert trace.exists()  # what loading the files would have done


def test_a_missing_file_is_refused(run, tmp_path):
    status, told = run(job="inspect", model=str(tmp_path / "none.pt"))
    assert status == REASONS["bad-model"]
    assert "cannot be read (No such file or directory)" in told[0]["message"]


def test_a_request_for_an_unknown_job_lists_the_known_ones(run):
    status, told = run(job="dance")
    assert status == REASONS["bad-request"]
    assert 'job "increase" or "export" or "check" or "inspect" or "transfer"' in told[0]["message"]
    assert run(job=["check"])[0] == REASONS["bad-request"]
