"""`ctslices train` and `ctslices adapt`: weights, card, verdict and report from a cohort, and refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.progress_bars import Bars
from CTSliceSynthesisEngine.networks.checkpoint import Model, load, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.objectives.published_step import PublishedStep
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.scans.source_table import read_sources
from CTSliceSynthesisEngine.training.train_cohort import train_cohort
from CTSliceSynthesisEngine.training.training_recipes import PublishedTraining
from CTSliceSynthesisEngine.training.validation import adaptation_check
from CTSliceSynthesisEngine.training.validation.adaptation_check import Start
from CTSliceSynthesisEngine.training.validation.error_calibration import fit_expected_error
from CTSliceSynthesisEngine.training.validation.held_out_scans import factors, verdict_of


def test_training_resumes_after_an_interruption_and_writes_a_model_with_its_card(order):
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


def test_a_resumed_training_writes_identical_weights(order, tmp_path):
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


def test_the_expected_error_is_calibrated_for_the_written_file(order):
    outcome = train_cohort(order)
    model = load(order.out)
    # Same memory layout as loaded weights, because rounding to half precision depends on it.
    assert all(weight.is_contiguous() for weight in outcome.model.networks.parameters())
    again = fit_expected_error(model, outcome.cohort.learned_from, order.settings.seed)
    assert again == model.expected_error


def test_a_training_can_start_from_a_model(order, tiny_weights):
    steps = replace(order.settings, steps=1)
    model = train_cohort(replace(order, start=str(tiny_weights), preset="compact", settings=steps)).model
    assert model.recipe == PRESETS["tiny"]
    assert model.card["training"]["start"] == tiny_weights.name


def test_networks_of_equal_size_are_taken_over_from_a_model_of_another_recipe(order, tmp_path):
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
    with pytest.raises(SynthesisError, match=r"No network of start\.pt fits into one of the preset published-narrow"):
        train_cohort(replace(into, into="published-narrow"))


def test_a_card_names_the_initial_weights_and_their_training_data(order, tmp_path):
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


def test_a_model_that_loses_on_one_scan_fails_and_an_unevaluated_one_has_no_verdict():
    won, lost, tied = row("one", 2, 1.5), row("two", 4, -0.2), row("three", 2, 0.0)
    passed = verdict_of([won, row("two", 2, 0.4)])
    assert passed.passed is True and "+0.40 dB" in passed.sentence and "each of the 2 scans" in passed.sentence
    failed = verdict_of([won, lost, tied])
    assert failed.passed is False
    assert "two at x4 (-0.20 dB), three at x2 (+0.00 dB)" in failed.sentence
    assert verdict_of([]).passed is None and "Not measured" in verdict_of([]).sentence


def test_factors_are_limited_by_the_resulting_spacing(tiny_model):
    def scan(spacing, slices=20):
        return TrainingScan("s", np.zeros((slices, 100, 100), np.int16), spacing, 0.8, 1.0)

    assert factors(tiny_model, scan(3.0)) == [2, 4]
    assert factors(tiny_model, scan(3.1)) == [2]
    assert factors(tiny_model, scan(1.0, slices=8)) == [2]
    assert factors(Model.untrained(replace(PRESETS["published-narrow"], factor=3)), scan(1.0)) == [3]


def test_the_bar_shows_losses_gain_and_remaining_time(capsys):
    figures = {"stage": "train", "done": 118, "total": 1000, "step": 100, "seconds_left": 80.0, "waiting": 0.0}
    with Bars() as bars:
        bars.emit("progress", **figures, losses={"loss_axial": 21.08, "loss_total": 45.4}, gain_db=0.0821)
    assert "step 100, 1.3 min left, gain +0.08 dB, axial 21.1, total 45.4" in capsys.readouterr().err


@pytest.mark.parametrize(("gains", "kept"), [((0.3, 0.0), True), ((0.3, -0.01), False), ((0.0, 0.5), False)])
def test_an_adaptation_is_kept_if_it_gains_at_the_first_factor_and_loses_at_no_other(
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


def test_a_scan_with_too_few_slices_keeps_the_initial_model(tiny_weights):
    model = load(tiny_weights)
    scan = TrainingScan("few", np.zeros((4, 96, 96), np.int16), 2.0, 0.8, 2.0)
    choice = adaptation_check.choose(model, Start.of(model), [scan], torch.device("cpu"))
    assert not choice.kept
    assert "too few slices" in choice.sentence
