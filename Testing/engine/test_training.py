"""`ctslices train` and `ctslices adapt`: a cohort in; weights, card, verdict and report out; and what is refused."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import REASONS, SynthesisError
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.jobs.progress_bars import Bars
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.distillation import StepSettings
from CTSliceSynthesisEngine.training.objectives.published_step import PublishedStep
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings
from CTSliceSynthesisEngine.training.optimization.training_state import locked
from CTSliceSynthesisEngine.training.scans.scan import MIN_PIXELS, TrainingScan
from CTSliceSynthesisEngine.training.scans.source_table import read_sources
from CTSliceSynthesisEngine.training.train_cohort import Order, train_cohort
from CTSliceSynthesisEngine.training.training_recipes import GapTraining, PublishedTraining
from CTSliceSynthesisEngine.training.validation import adaptation_check
from CTSliceSynthesisEngine.training.validation.adaptation_check import Start
from CTSliceSynthesisEngine.training.validation.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.training.validation.held_out_scans import factors, verdict_of
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume


def slanted(seed, slices=9):
    """Slabs of tissue with slanted edges: what lies between two slices can be told from their planes."""
    z, row, column = np.indices((slices, MIN_PIXELS, MIN_PIXELS))
    angle = 1.5 + seed
    hu = 400 * np.sign(np.sin((row + angle * 4 * z) / 15)) + 300 * np.sign(np.sin((column - angle * 3 * z) / 11))
    return (hu - 100 + np.random.default_rng(seed).normal(0, 10, hu.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two patients."""
    folder = tmp_path_factory.mktemp("cohort")
    for name, seed in (("first", 0), ("second", 1)):
        voxels = slanted(seed)
        grid = Grid(voxels.shape[::-1], np.diag([0.8, 0.8, 2.5, 1.0]), 2, 2.5)
        files.write(Volume(voxels, grid), folder / f"{name}.nrrd")
    (folder / "sources.csv").write_text(
        "scan,thickness_mm,source,licence\nfirst,2.0,a phantom,CC0\nsecond,2.5,a phantom,CC0\n"
    )
    return folder


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`ctslices` in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def order(cohort, tmp_path):
    """An order for a run of a second."""
    step = StepSettings(through_plane_crops=8, axial_crops=3, native_crops=2, axial_size=(32, 32))
    settings = LoopSettings(minutes=None, steps=6, warm_up_steps=2, watch_every=1, exams=2)
    recipe = GapTraining("dense", step=step)
    return Order(
        cohort, tmp_path / "model.pt", tmp_path / "cache", settings, recipe, preset="tiny", holdout=("second",)
    )


def test_a_training_goes_on_after_an_interruption_and_leaves_a_model_with_its_card(order):
    sources = read_sources(order.cohort / "sources.csv")
    order = replace(order, sources=sources)

    def interrupt(figures):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cohort(order, watch=interrupt)
    assert not order.out.exists()
    with pytest.raises(SynthesisError, match="go on with --resume, or remove it") as caught:
        train_cohort(order)
    assert caught.value.reason == "cannot-write"

    seen, said = [], []
    outcome = train_cohort(replace(order, resume=True), watch=seen.append, say=said.append)
    assert [figures["step"] for figures in seen] == [2, 3, 4, 5, 6]
    assert {"share", "seconds_left", "waiting", "loss_axial", "loss_total", "best_gain_db"} <= set(seen[-1])
    assert said[0] == "first: dense, 9 slices every 2.5 mm, 2 mm thick"
    assert said[1] == "second: held out, 9 slices every 2.5 mm, 2.5 mm thick"
    assert sum("against cubic on the held-out scans" in sentence for sentence in said) == 2

    model = load(order.out)
    assert model.recipe == PRESETS["tiny"]
    assert model.sha256 == outcome.model.sha256
    assert sum(model.fusion) == pytest.approx(1)
    assert list(model.expected_error.coefficients) == model.card["expected_error"]
    assert model.card["training"]["steps"] == 6
    assert model.card["training"]["recipe"]["name"] == "dense"
    assert [(row["scan"], row["thickness_mm"], row["licence"]) for row in model.card["data"]] == [("first", 2.0, "CC0")]
    assert [row["scan"] for row in model.card["held_out"]] == ["second"]
    rows = model.card["verdict"]["scans"]
    assert [(row["scan"], row["factor"]) for row in rows] == [("second", 2), ("second", 4)]
    assert list(rows[0]["methods"]) == ["linear", "cubic", "bspline", "three-view"]
    beside = json.loads(order.out.with_suffix(".json").read_text())
    assert beside == {**model.card, "sha256": model.sha256}
    assert sorted(path.name for path in order.out.parent.iterdir()) == ["cache", "model.json", "model.pt"]


def test_a_resumed_training_writes_the_very_same_weights(order, tmp_path):
    whole = train_cohort(order).model

    def stop(figures):
        if figures["step"] == 3:
            raise KeyboardInterrupt

    again = replace(order, out=tmp_path / "again.pt")
    with pytest.raises(KeyboardInterrupt):
        train_cohort(again, watch=stop)
    parts = train_cohort(replace(again, resume=True)).model
    assert parts.fusion == whole.fusion
    assert all(
        torch.equal(value, parts.networks.state_dict()[key]) for key, value in whole.networks.state_dict().items()
    )


def test_the_expected_error_of_a_training_is_that_of_the_file_it_writes(order):
    outcome = train_cohort(order)
    model = load(order.out)
    # Laid out as those that are read: half precision rounds by the layout.
    assert all(weight.is_contiguous() for weight in outcome.model.networks.parameters())
    again = fit_expected_error(model, outcome.cohort.learned_from, order.settings.seed)
    assert again == model.expected_error


def test_a_training_can_start_from_a_model(order, tiny_weights):
    steps = replace(order.settings, steps=1)
    model = train_cohort(replace(order, start=str(tiny_weights), preset="compact", settings=steps)).model
    assert model.recipe == PRESETS["tiny"]
    assert model.card["training"]["start"] == tiny_weights.name


def test_of_a_model_that_it_starts_from_other_networks_take_over_those_of_the_same_size(order, tmp_path):
    torch.manual_seed(1)
    start = Model.untrained(replace(PRESETS["tiny"], axial_last=False))
    for parameter in start.networks.parameters():
        torch.nn.init.normal_(parameter)
    save(start, tmp_path / "start.pt")
    recipe = replace(order.recipe, through_plane_rate=0.0)
    into = replace(order, start=str(tmp_path / "start.pt"), into="tiny", recipe=recipe)
    model = train_cohort(replace(into, settings=replace(order.settings, steps=1))).model
    assert model.recipe == PRESETS["tiny"]
    before, after = (some.networks["through_plane"].state_dict() for some in (start, model))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert model.card["started_from"]["sha256"] == load(tmp_path / "start.pt").sha256
    with pytest.raises(SynthesisError, match=r"No network of start\.pt has a size of the preset published-narrow"):
        train_cohort(replace(into, into="published-narrow"))


def test_a_card_tells_of_the_weights_it_started_from_and_what_those_learned_from(order, tmp_path):
    first = replace(order, settings=replace(order.settings, steps=1))
    train_cohort(first)
    known = load(first.out)
    assert known.card["started_from"] is None
    second = replace(first, start=str(first.out), out=tmp_path / "second.pt", holdout=("first",))
    told = train_cohort(second).model.card
    assert [row["scan"] for row in told["data"]] == ["second"]
    assert told["started_from"] == {
        "sha256": known.sha256,
        "training": known.card["training"],
        "started_from": None,
        "data": known.card["data"],
    }
    third = replace(second, start=str(second.out), out=tmp_path / "third.pt")
    assert train_cohort(third).model.card["started_from"]["started_from"]["sha256"] == known.sha256


def test_the_axial_recipe_leaves_the_through_plane_network_as_it_is(cohort, command, tiny_weights):
    options = ("--recipe", "axial", "--from", tiny_weights, "--steps", 3, "--holdout", "none")
    status, _, _ = command("train", cohort, "--out", "mine.pt", *options)
    assert status == 0
    before, after = (load(path).networks for path in (tiny_weights, "mine.pt"))
    for view, changes in (("through_plane", False), ("axial", True)):
        pairs = zip(before[view].parameters(), after[view].parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs) is changes, view


def test_the_published_recipe_trains_at_any_width_in_the_same_loop(order):
    recipe = PublishedTraining(step=PublishedStep(size=(9, 16, 16)))
    outcome = train_cohort(replace(order, recipe=recipe, preset="published-narrow"))
    assert {"loss_level_0", "loss_detail", "loss_level_1", "loss_level_2", "loss_compactness"} <= set(
        outcome.state.curve[-2]
    )
    model = load(order.out)
    assert model.fusion == (1 / 3, 1 / 3, 1 / 3)
    assert [row["factor"] for row in model.card["verdict"]["scans"]] == [2]
    assert all(network.last.weight.abs().max() > 0 for network in model.networks.values())


def test_a_recipe_that_does_not_fit_the_networks_is_refused(order):
    with pytest.raises(SynthesisError, match="trains compact networks, not published ones"):
        train_cohort(replace(order, preset="published-narrow"))
    with pytest.raises(SynthesisError, match="choose --preset published"):
        train_cohort(replace(order, recipe="published"))


def row(scan, factor, gain):
    return {"scan": scan, "factor": factor, "gain_db": gain}


def test_a_model_that_loses_on_one_scan_has_failed_and_one_that_was_not_measured_has_neither():
    won, lost, tied = row("one", 2, 1.5), row("two", 4, -0.2), row("three", 2, 0.0)
    passed = verdict_of([won, row("two", 2, 0.4)])
    assert passed.passed is True and "+0.40 dB" in passed.sentence and "each of the 2 scans" in passed.sentence
    failed = verdict_of([won, lost, tied])
    assert failed.passed is False
    assert "two at x4 (-0.20 dB), three at x2 (+0.00 dB)" in failed.sentence
    assert verdict_of([]).passed is None and "Not measured" in verdict_of([]).sentence


def test_factors_are_those_that_leave_slices_near_enough(tiny_model):
    def scan(spacing, slices=20):
        return TrainingScan("s", np.zeros((slices, 100, 100), np.int16), spacing, 0.8, 1.0)

    assert factors(tiny_model, scan(3.0)) == [2, 4]
    assert factors(tiny_model, scan(3.1)) == [2]
    assert factors(tiny_model, scan(1.0, slices=8)) == [2]
    assert factors(Model.untrained(replace(PRESETS["published-narrow"], factor=3)), scan(1.0)) == [3]


# The command


def test_a_model_that_failed_is_written_with_its_verdict_and_used_only_on_demand(cohort, command, tmp_path):
    """After one step the networks answer with cubic interpolation, which B-spline beats on these slabs, or ties."""
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
    assert verdict["sentence"] in err and "--accept-failed-model" in err
    assert not Path("thin.nrrd").exists()
    accepted = ("--model", "model.pt", "--device", "cpu", "--accept-failed-model")
    assert command("increase", cohort / "first.nrrd", "thin.nrrd", *accepted)[0] == 0


def test_a_failed_model_does_not_make_torchrun_train_anew(cohort, command, monkeypatch):
    run = ("train", cohort, "--out", "model.pt", "--preset", "tiny", "--steps", 1, "--holdout", "second")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    for restarts, expected in (("0", 0), ("1", REASONS["not-better"])):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
        assert command(*run)[0] == expected
    assert load("model.pt").card["verdict"]["passed"] is False


def test_the_bar_shows_losses_gain_and_remaining_time(capsys):
    figures = {"stage": "train", "done": 118, "total": 1000, "step": 100, "seconds_left": 80.0, "waiting": 0.0}
    with Bars() as bars:
        bars.emit("progress", **figures, losses={"loss_axial": 21.08, "loss_total": 45.4}, gain_db=0.0821)
    assert "step 100, 1.3 min left, gain +0.08 dB, axial 21.1, total 45.4" in capsys.readouterr().err


def test_the_report_is_one_page_that_needs_nothing_else(cohort, command):
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


def test_a_model_is_adapted_to_one_scan_and_measured_on_it(cohort, command, tiny_weights):
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


@pytest.mark.parametrize(("gains", "kept"), [((0.3, 0.0), True), ((0.3, -0.01), False), ((0.0, 0.5), False)])
def test_what_was_learned_is_kept_where_it_gains_at_the_first_factor_and_loses_at_no_other(
    monkeypatch, tiny_weights, gains, kept
):
    model = load(tiny_weights)
    start = Start.of(model)
    learned = {name: weight + 1 for name, weight in start.weights.items()}
    model.networks.load_state_dict(learned)
    scan = TrainingScan("noise", np.random.default_rng(0).integers(-50, 50, (12, 96, 96), np.int16), 2.0, 0.8, 2.0)

    def measured(some, thick, truth, factor, device):
        changed = torch.equal(some.networks.state_dict()["axial.last.bias"], learned["axial.last.bias"])
        return gains[0 if factor == 2 else 1] if changed else 0.0

    monkeypatch.setattr(adaptation_check, "gain", measured)
    choice = adaptation_check.choose(model, start, [scan], torch.device("cpu"))
    assert choice.kept is kept
    stayed = learned if kept else start.weights
    assert all(torch.equal(weight, stayed[name]) for name, weight in model.networks.state_dict().items())
    assert choice.sentence.startswith("Kept: " if kept else "Not kept: ")


def test_a_scan_of_too_few_slices_to_leave_any_out_keeps_the_model_it_started_from(tiny_weights):
    model = load(tiny_weights)
    scan = TrainingScan("few", np.zeros((4, 96, 96), np.int16), 2.0, 0.8, 2.0)
    choice = adaptation_check.choose(model, Start.of(model), [scan], torch.device("cpu"))
    assert not choice.kept
    assert "too few slices" in choice.sentence


def test_several_scans_are_none_to_adapt_to(cohort, command):
    status, _, err = command("adapt", cohort, "--out", "mine.pt")
    assert status == REASONS["bad-input"]
    assert "holds 2: give one volume file" in err


@pytest.fixture
def refused(tmp_path, command):
    """`ctslices train` with these arguments: the one sentence with which it refuses."""

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


def test_cohorts_without_scans_to_learn_from_are_refused(tmp_path, make_scan, refused):
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
        ("bad-option", ("--recipe", "secret"), "auto, published, anchored, dense, further, axial"),
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
def test_options_that_cannot_be_are_refused_before_the_training(cohort, refused, reason, options, word):
    assert word in refused(reason, cohort, "--out", "model.pt", *options)


def test_a_second_trainer_is_refused_before_it_looks_at_the_cohort(cohort, refused, tmp_path):
    with locked(tmp_path / "model.pt.lock"):
        assert "Another training writes to" in refused("cannot-write", cohort, "--out", "model.pt")


def test_a_state_of_another_recipe_is_refused(order, command, cohort):
    def stop(figures):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cohort(order, watch=stop)
    options = ("--preset", "tiny", "--recipe", "anchored", "--resume", "--holdout", "second")
    status, _, err = command("train", cohort, "--out", order.out, *options)
    assert status == REASONS["bad-model"]
    assert "belongs to another run (other recipe)" in err


def test_networks_that_no_recipe_fits_are_told_apart_by_their_kind(tmp_path, cohort, refused):
    save(Model.untrained(PRESETS["published-narrow"]), tmp_path / "odd.pt")
    sentence = refused("bad-option", cohort, "--out", "model.pt", "--from", "odd.pt", "--recipe", "dense")
    assert "trains compact networks" in sentence
