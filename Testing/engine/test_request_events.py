"""Requests and events: versioned, strictly checked, plain JSON."""

import errno
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import REASONS, SynthesisError
from CTSliceSynthesisEngine.jobs import events, increase
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest, from_values, read_request, to_json
from CTSliceSynthesisEngine.networks.checkpoint import save
from CTSliceSynthesisEngine.networks.expected_error import TERMS, ExpectedError
from CTSliceSynthesisEngine.volume import files

SMALLEST = {"version": 1, "job": "increase", "input": "thick.nrrd", "output": "thin.nrrd"}


def refused(word, call, *arguments):
    with pytest.raises(SynthesisError, match=word) as caught:
        call(*arguments)
    assert caught.value.reason == "bad-request"
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_request_is_read_as_written(tmp_path):
    request = IncreaseRequest(
        "dick 厚.nrrd", "dünn 薄.nrrd", factor=3, model="weights.pt", device="cpu", outputs={"disagreement": "wo.nrrd"},
        thickness=4.5, axis=1, series="1.2.3", resample_irregular=True, overwrite=True, accept_isotropic=True,
    )  # fmt: skip
    (tmp_path / "request.json").write_text(to_json(request), encoding="utf-8")
    assert read_request(tmp_path / "request.json") == request


def test_omitted_fields_have_defaults():
    assert from_values(SMALLEST) == IncreaseRequest("thick.nrrd", "thin.nrrd")
    assert from_values(SMALLEST | {"spacing": 1}).spacing == 1  # an integer is a valid number


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fctor": 3}, "no field 'fctor'"),
        ({"factor": "3"}, "'factor' of a request is of type int"),
        ({"factor": 2.0}, "'factor'"),
        ({"factor": True}, "'factor'"),
        ({"isotropic": 1}, "'isotropic'"),
        ({"thickness": "5 mm"}, "'thickness'"),
        ({"output": None}, "'output'"),
        ({"model": 3}, "'model'"),
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "version '1'"),
        ({"job": "train"}, "job 'train'"),
    ],
)
def test_unknown_or_invalid_fields_are_refused_rather_than_ignored(change, word):
    refused(word, from_values, SMALLEST | change)


@pytest.mark.parametrize("field", ["input", "output", "version", "job"])
def test_required_fields_must_be_present(field):
    refused(field, from_values, {name: value for name, value in SMALLEST.items() if name != field})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"null"])
def test_a_file_that_is_not_a_request_is_refused(tmp_path, content):
    (tmp_path / "request.json").write_bytes(content)
    refused("write it again", read_request, tmp_path / "request.json")


def test_a_missing_request_is_refused(tmp_path):
    refused("cannot be read", read_request, tmp_path / "none.json")


def test_an_event_is_one_line_of_ascii_json():
    line = events.line("failed", reason="bad-input", message="Die Datei “Müller\n薄” fehlt.")
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "version": 1, "event": "failed", "reason": "bad-input", "message": "Die Datei “Müller\n薄” fehlt.",
    }  # fmt: skip
    with pytest.raises(ValueError, match="unknown event"):
        events.line("finished")


def test_every_event_is_flushed_at_once():
    class Stream(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Stream()
    emit = events.emitter(stream)
    emit("remark", sentence="One.")
    emit("remark", sentence="Two.")
    assert stream.flushed == 2
    assert len(stream.getvalue().splitlines()) == 2


@pytest.fixture
def run_request(tmp_path, capsys):
    """Run a request in this process and return exit status and events."""

    def run(**fields):
        path = tmp_path / "request.json"
        path.write_text(json.dumps(SMALLEST | fields, ensure_ascii=False), encoding="utf-8")
        status = main(["run", str(path)])
        path.unlink()
        out, err = capsys.readouterr()
        assert err == ""
        return status, [json.loads(line) for line in out.splitlines()]

    return run


@pytest.fixture
def thick(tmp_path, make_scan):
    files.write(make_scan(), tmp_path / "thick.nrrd")
    return str(tmp_path / "thick.nrrd")


def test_a_run_reports_its_progress_and_ends_with_its_result(tmp_path, run_request, thick, tiny_weights):
    output, spread = str(tmp_path / "thin.nrrd"), str(tmp_path / "spread.mha")
    status, told = run_request(
        input=thick, output=output, factor=3, model=str(tiny_weights), device="cpu", outputs={"disagreement": spread}
    )
    assert status == 0
    assert {event["version"] for event in told} == {1}
    kinds = [event["event"] for event in told]
    assert kinds[0] == "started"
    assert kinds[-1] == "result"
    assert set(kinds) == {"started", "remark", "progress", "result"}
    started, result = told[0], told[-1]
    assert started["size"] == result["size"] == [24, 20, 34]
    assert (started["factor"], started["job"], started["method"]) == (3, "increase", "three-view")
    assert started["estimated_seconds"] >= 0
    assert result["output"] == output
    assert result["outputs"] == {"disagreement": spread}
    assert len(result["model_sha256"]) == 64
    assert result["device"] == "cpu"
    assert any("--thickness" in event["sentence"] for event in told if event["event"] == "remark")
    progress = [event for event in told if event["event"] == "progress"]
    assert {"synthesize", "write"} <= {event["stage"] for event in progress}
    assert progress[-1]["done"] == progress[-1]["total"]
    assert np.array_equal(files.read(output).voxels[::3], files.read(thick).voxels)
    assert files.read_header(spread).origin["content"] == "view disagreement in HU"


def test_the_expected_error_and_even_texture_are_written_and_recorded(tmp_path, run_request, thick, tiny_model):
    tiny_model.expected_error = ExpectedError((20.0, *[0.0] * (TERMS - 1)))
    model, output, stated = (str(tmp_path / name) for name in ("model.pt", "thin.nrrd", "stated.nrrd"))
    save(tiny_model, model)
    status, told = run_request(
        input=thick, output=output, model=model, device="cpu", outputs={"expected_error": stated}, texture="even"
    )
    assert status == 0
    assert (told[-1]["outputs"]["expected_error"], told[-1]["texture"]) == (stated, "even")
    headers = [(tmp_path / name).read_bytes().partition(b"\n\n")[0].decode() for name in ("thin.nrrd", "stated.nrrd")]
    assert all("CTSliceSynthesis.texture:=even" in header for header in headers)
    assert "CTSliceSynthesis.content:=expected error in HU" in headers[1]
    actual = files.read(stated)
    assert set(np.unique(actual.voxels[1::2])) == {4095}  # the maximum
    assert actual.grid.matches(files.read(output).grid)


def test_the_header_of_a_result_says_that_it_contains_estimates(tmp_path, run_request, thick, tiny_weights):
    output = tmp_path / "thin.nrrd"
    run_request(input=thick, output=str(output), model=str(tiny_weights), device="cpu")
    header = output.read_bytes().partition(b"\n\n")[0].decode()
    assert "estimates; for research use" in header
    assert "CTSliceSynthesis.model_sha256" in header
    assert "CTSliceSynthesis.factor:=2" in header


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input": "none.nrrd"}, "bad-input"),
        ({"factor": 9}, "bad-option"),
        ({"method": "sinc"}, "bad-option"),
        ({"axis": 3}, "bad-option"),
        ({"thickness": -1}, "bad-option"),
        ({"outputs": {"disagreement": "SPREAD"}, "method": "cubic"}, "bad-option"),
        ({"method": "three-view", "model": "none.pt"}, "bad-model"),
        ({"output": "IN"}, "cannot-write"),
        (
            {"output": "TWICE", "outputs": {"disagreement": "TWICE"}, "method": "three-view", "model": "WEIGHTS"},
            "cannot-write",
        ),
        ({"output": "thin.dcm"}, "cannot-write"),
        ({"axis": 0, "accept_isotropic": False}, "bad-geometry"),
        ({"fctor": 2}, "bad-request"),
        ({"device": "tpu", "method": "three-view", "model": "WEIGHTS"}, "bad-option"),
    ],
)
def test_a_failure_is_the_last_event_with_its_reason_and_leaves_no_files(
    tmp_path, run_request, thick, tiny_weights, fields, reason
):
    (tmp_path / "out").mkdir()
    places = {
        "IN": thick,
        "SPREAD": str(tmp_path / "out" / "spread.nrrd"),
        "TWICE": str(tmp_path / "out" / "same.nrrd"),
        "WEIGHTS": str(tiny_weights),
    }
    request = {"input": thick, "output": str(tmp_path / "out" / "thin.nrrd"), "method": "cubic", **fields}
    before = (tmp_path / "thick.nrrd").read_bytes()

    def placed(value):
        if isinstance(value, dict):
            return {name: placed(inner) for name, inner in value.items()}
        return places.get(value, value)

    status, told = run_request(**placed(request))
    assert told[-1]["event"] == "failed"
    assert told[-1]["reason"] == reason
    assert told[-1]["message"].endswith(".")
    assert "\n" not in told[-1]["message"]
    assert status == REASONS[reason]
    assert [event["event"] for event in told].count("failed") == 1
    assert not list((tmp_path / "out").iterdir())
    assert (tmp_path / "thick.nrrd").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError, "no-memory"), (KeyboardInterrupt, "interrupted"), (ZeroDivisionError, "internal")],
)
def test_unexpected_errors_are_reported_as_failures(tmp_path, run_request, thick, monkeypatch, error, reason):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(increase.pipeline, "synthesize", fail)
    status, told = run_request(input=thick, output=str(tmp_path / "thin.nrrd"), method="cubic")
    assert (told[-1]["event"], told[-1]["reason"]) == ("failed", reason)
    assert status == REASONS[reason]


def test_no_result_appears_when_one_of_them_cannot_be_written(tmp_path, thick, tiny_weights, monkeypatch):
    """Either all outputs are written or none, with existing files unchanged."""
    save, spread = files._save, tmp_path / "s.nrrd"
    spread.write_bytes(b"of an earlier run")

    def all_but_the_disagreement(volume, path, header):
        if "CTSliceSynthesis.content" in header:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(volume, path, header)

    monkeypatch.setattr(files, "_save", all_but_the_disagreement)
    request = IncreaseRequest(
        thick,
        str(tmp_path / "thin.nrrd"),
        model=str(tiny_weights),
        device="cpu",
        outputs={"disagreement": str(spread)},
        overwrite=True,
    )
    with pytest.raises(SynthesisError, match=r"s\.nrrd could not be written completely: No space left"):
        increase.increase(request, lambda event, **fields: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.nrrd", "thick.nrrd"]
    assert spread.read_bytes() == b"of an earlier run"


def test_a_child_process_writes_one_json_object_per_line_and_accepts_any_path(tmp_path, make_scan, child):
    folder = tmp_path / "Größe 厚 – ä b"
    folder.mkdir()
    files.write(make_scan(), folder / "dick é.nrrd")
    request = IncreaseRequest(str(folder / "dick é.nrrd"), str(folder / "dünn 薄.nrrd"), method="bspline")
    (folder / "Auftrag ß.json").write_text(to_json(request), encoding="utf-8")
    command = [sys.executable, "-m", "CTSliceSynthesisEngine", "run", str(folder / "Auftrag ß.json")]
    done = subprocess.run(command, capture_output=True, timeout=300, **child)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [told[0]["event"], told[-1]["event"]] == ["started", "result"]
    assert told[-1]["output"] == request.output
    assert files.read(request.output).voxels.shape == (23, 20, 24)
