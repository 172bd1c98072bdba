"""Training from the command line: messages, outputs and refusals."""

import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
import torch
from CTSliceSynthesisEngine.errors import REASONS
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.optimization.training_state import locked
from CTSliceSynthesisEngine.training.train_cohort import train_cohort
from CTSliceSynthesisEngine.volume import files


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run `ctslices` in an empty folder and return exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


def test_the_axial_recipe_does_not_change_the_through_plane_network(cohort, command, tiny_weights):
    options = ("--recipe", "axial", "--from", tiny_weights, "--steps", 3, "--holdout", "none")
    status, _, _ = command("train", cohort, "--out", "mine.pt", *options)
    assert status == 0
    before, after = (load(path).networks for path in (tiny_weights, "mine.pt"))
    for view, changes in (("through_plane", False), ("axial", True)):
        pairs = zip(before[view].parameters(), after[view].parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs) is changes, view


def test_a_failed_model_is_written_with_its_verdict_and_used_only_on_request(cohort, command, tmp_path):
    """After one step the networks give cubic interpolation, which is at most as good as B-spline on these slabs."""
    status, out, err = command(
        "train",
        cohort,
        "--out",
        "model.pt",
        "--preset",
        "tiny",
        "--steps",
        1,
        "--holdout",
        "second",
        "--recipe",
        "dense",
    )
    verdict = load("model.pt").card["verdict"]
    assert verdict["passed"] is False
    assert status == REASONS["not-better"]
    assert out == ""
    assert verdict["sentence"] in err and "SHA-256" in err
    status, _, err = command("increase", cohort / "first.nrrd", "thin.nrrd", "--model", "model.pt", "--device", "cpu")
    assert status == REASONS["bad-model"]
    assert verdict["sentence"].rstrip(".") in err and "--accept-failed-model" in err
    assert not Path("thin.nrrd").exists()
    accepted = ("--model", "model.pt", "--device", "cpu", "--accept-failed-model")
    assert command("increase", cohort / "first.nrrd", "thin.nrrd", *accepted)[0] == 0


def test_a_failed_model_does_not_make_torchrun_restart_training(cohort, command, monkeypatch):
    run = ("train", cohort, "--out", "model.pt", "--preset", "tiny", "--steps", 1, "--holdout", "second")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    for restarts, expected in (("0", 0), ("1", REASONS["not-better"])):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
        assert command(*run)[0] == expected
    assert load("model.pt").card["verdict"]["passed"] is False


def test_the_report_is_one_self_contained_page(cohort, command):
    command("train", cohort, "--out", "model.pt", "--preset", "tiny", "--steps", 1, "--holdout", "second")
    page = Path("model.report/report.html").read_text(encoding="utf-8")
    for words in (
        "Failed: ",
        "first: dense",
        "second: held out",
        "4-point cubic",
        "B-spline",
        "not given",
        "&quot;seed&quot;: 0",
    ):
        assert words in page, words
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pictures) == 1
    assert b64decode(pictures[0]).startswith(b"\x89PNG")
    assert "<svg" in page


def test_events_are_json_lines_and_the_last_one_is_the_result(cohort, command):
    options = ("--preset", "tiny", "--steps", 3, "--holdout", "none", "--recipe", "anchored", "--events")
    step = ("train", cohort, "--out", "model.pt", *options)
    status, out, _ = command(*step)
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert (events[0]["event"], events[0]["job"]) == ("started", "train")
    assert {"event": "remark", "version": 1, "sentence": "first: thick, 9 slices every 2.5 mm, 2.5 mm thick"} in events
    progress = [event for event in events if event["event"] == "progress" and event["stage"] == "train"]
    assert progress[-1]["step"] == 3 and progress[-1]["gain_db"] is None
    assert set(progress[-1]["losses"]) == {"loss_through_plane", "loss_total"}
    assert events[-1]["event"] == "result"
    assert events[-1]["passed"] is None and "Not measured" in events[-1]["verdict"]
    assert Path(events[-1]["report"]).is_file()


def test_a_failure_is_an_event_too(command):
    status, out, err = command("train", "none", "--out", "model.pt", "--events")
    assert status == REASONS["bad-input"]
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["reason"]) == ("failed", "bad-input")
    assert err == ""


def test_a_model_is_adapted_to_one_scan_and_evaluated_on_it(cohort, command, tiny_weights):
    options = ("--from", tiny_weights, "--steps", 2, "--thickness", 2.0)
    status, _, err = command("adapt", cohort / "first.nrrd", "--out", "mine.pt", *options)
    card = load("mine.pt").card
    assert "measured on the scan itself" in err and "first: thick, " in err
    assert status == (REASONS["not-better"] if card["verdict"]["passed"] is False else 0)
    assert card["training"]["recipe"]["name"] == "adapted"
    assert [(scan["scan"], scan["thickness_mm"]) for scan in card["data"]] == [("first", 2.0)]
    assert {row["scan"] for row in card["verdict"]["scans"]} == {"first"}
    before, after = (load(path).networks.state_dict() for path in (tiny_weights, "mine.pt"))
    same = all(torch.equal(before[key], after[key]) for key in before)
    assert same == (not card["adaptation"]["kept"])
    assert list(card["adaptation"]["gains_db"]) == ["2", "4"]
    assert card["verdict"]["sentence"].startswith("Kept: " if card["adaptation"]["kept"] else "Not kept: ")
    assert load("mine.pt").fusion == load(tiny_weights).fusion


def test_adapting_to_several_scans_is_refused(cohort, command):
    status, _, err = command("adapt", cohort, "--out", "mine.pt")
    assert status == REASONS["bad-input"]
    assert "holds 2: give one volume file" in err


@pytest.fixture
def refused(tmp_path, command):
    """Run `ctslices train` with these arguments and return the message of its refusal."""

    def run(reason, *arguments):
        status, out, err = command("train", *arguments)
        assert status == REASONS[reason], err
        lines = [line for line in err.splitlines() if line.startswith("ctslices: ")]
        assert len(lines) == 1, err
        assert lines[0].endswith(".")
        assert out == ""
        assert not [
            path for path in tmp_path.rglob("*.pt*") if path.is_file() and path.name not in ("odd.pt", "model.pt.lock")
        ]
        return lines[0]

    return run


def test_cohorts_without_training_scans_are_refused(tmp_path, make_scan, refused):
    assert "cannot be read" in refused("bad-input", "none", "--out", "model.pt")
    (tmp_path / "empty").mkdir()
    assert "holds 0 scans" in refused("bad-input", "empty", "--out", "model.pt")
    files.write(make_scan(), tmp_path / "empty" / "small.nrrd")
    (tmp_path / "empty" / "cut.nrrd").write_bytes(b"NRRD0004\n")
    sentence = refused("bad-input", "empty", "--out", "model.pt")
    assert "holds 2 scans and none to learn from" in sentence
    assert "small: left out" in sentence and "cut: left out" in sentence
    (tmp_path / "empty" / "list.bin").write_bytes(bytes(range(256)))
    assert "not a text file" in refused("bad-input", "empty/list.bin", "--out", "model.pt")


@pytest.mark.parametrize(
    ("reason", "options", "word"),
    [
        ("bad-input", ("--holdout", "third"), "third"),
        ("bad-input", ("--sources", "none.csv"), "none.csv cannot be read"),
        ("bad-option", ("--preset", "huge"), "compact"),
        ("bad-option", ("--recipe", "secret"), "auto, published, anchored, dense, further, planes, axial"),
        ("bad-option", ("--recipe", "axial"), "name trained weights with --from"),
        ("bad-option", ("--recipe", "published"), "--preset published"),
        ("bad-option", ("--minutes", "0"), "more than 0 minutes"),
        ("bad-option", ("--minutes", "nan"), "more than 0 minutes"),
        ("bad-option", ("--steps", "0"), "at least 1 step"),
        ("bad-option", ("--device", "abacus"), "abacus"),
        ("bad-model", ("--from", "none.pt"), "cannot be read"),
        ("cannot-write", ("--out", "none/model.pt"), "does not exist"),
        ("bad-option", ("--out", "model.json"), "ends in .pt"),
    ],
)
def test_invalid_options_are_refused_before_training(cohort, refused, reason, options, word):
    assert word in refused(reason, cohort, "--out", "model.pt", *options)


def test_a_second_training_is_refused_before_reading_the_cohort(cohort, refused, tmp_path):
    with locked(tmp_path / "model.pt.lock"):
        assert "Another training is writing to" in refused("cannot-write", cohort, "--out", "model.pt")


def test_a_state_of_another_recipe_is_refused(order, command, cohort):
    def stop(figures):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cohort(order, watch=stop)
    options = ("--preset", "tiny", "--recipe", "anchored", "--resume", "--holdout", "second")
    status, _, err = command("train", cohort, "--out", order.out, *options)
    assert status == REASONS["bad-model"]
    assert "belongs to another run (other recipe)" in err


def test_networks_without_matching_recipe_are_reported_by_architecture(tmp_path, cohort, refused):
    save(Model.untrained(PRESETS["published-narrow"]), tmp_path / "odd.pt")
    sentence = refused("bad-option", cohort, "--out", "model.pt", "--from", "odd.pt", "--recipe", "dense")
    assert "trains compact networks" in sentence
