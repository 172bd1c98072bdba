"""The training loop: termination, resuming after interruptions, and recovery from diverging loss."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine import whole_file
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.distillation import StepSettings
from CTSliceSynthesisEngine.training.optimization.process_group import World
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings, train
from CTSliceSynthesisEngine.training.optimization.training_state import locked
from CTSliceSynthesisEngine.training.scans.prefetch import Feeder
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.training_recipes import GapTraining

ALONE = World(0, 1, torch.device("cpu"))
STEP = StepSettings(
    through_plane_crops=6, axial_crops=2, native_crops=1, axial_size=(16, 16), through_plane_size=(4, 32)
)
DENSE = GapTraining("dense", step=STEP)
SETTINGS = LoopSettings(minutes=None, steps=9, warm_up_steps=2, watch_every=1, exams=3)


@pytest.fixture(scope="module")
def scans():
    hu = np.random.default_rng(0).normal(0, 200, (12, 100, 100)).astype(np.int16)
    return [TrainingScan("noise", hu, 2.0, 0.8, 1.5)]


@pytest.fixture
def run(tmp_path, scans):
    """Train a tiny model and return its state and final weights."""

    def trained(name="run", recipe=DENSE, settings=SETTINGS, **options):
        torch.manual_seed(settings.seed)
        model = Model.untrained(PRESETS["tiny"])
        state = train(model, scans, recipe, settings, ALONE, tmp_path / f"{name}.state", **options)
        return state, {key: value.clone() for key, value in model.networks.state_dict().items()}

    return trained


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def stop_at(step):
    def watch(figures):
        if figures["step"] == step:
            raise KeyboardInterrupt

    return watch


def steps_and_losses(state):
    return [{name: value for name, value in point.items() if name != "seconds"} for point in state.curve]


def test_a_run_stopped_twice_equals_an_uninterrupted_one_bit_for_bit(run):
    whole, weights = run("whole")
    for step in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run("parts", watch=stop_at(step))
    parts, resumed = run("parts")
    assert same(resumed, weights)
    assert steps_and_losses(parts) == steps_and_losses(whole)
    assert [point["step"] for point in whole.curve] == list(range(1, 10))
    _, other = run("other", settings=replace(SETTINGS, seed=1))
    assert not same(other, weights)


def test_a_resumed_run_keeps_its_precision_on_another_machine(run, monkeypatch):
    def liked(kind):
        monkeypatch.setattr(
            "CTSliceSynthesisEngine.training.optimization.optimizer_step.choose_precision", lambda device: kind
        )

    liked(torch.bfloat16)
    whole, weights = run("whole")
    assert whole.precision == "bfloat16"
    with pytest.raises(KeyboardInterrupt):
        run("parts", watch=stop_at(4))
    liked(torch.float32)
    parts, resumed = run("parts")
    assert parts.precision == "bfloat16"
    assert same(resumed, weights)
    exact, other = run("exact")
    assert exact.precision == "float32"
    assert not same(other, weights)


def test_the_best_weights_are_kept_and_validations_are_evenly_spaced(run):
    scores = iter([0.0, 0.3, 0.7, 0.5])
    seen = []

    def examine():
        seen.append(next(scores))
        return seen[-1]

    state, weights = run("scored", examine=examine)
    assert seen == [0.0, 0.3, 0.7, 0.5]
    assert [point["step"] for point in state.curve if "gain_db" in point] == [0, 3, 6, 9]
    assert state.best_gain == 0.7
    assert same(weights, state.best)
    _, last = run("unscored")
    assert not same(last, weights)


def test_a_resumed_run_reproduces_the_validation_scores(run):
    def scored(name, **options):
        values = iter([0.1, 0.2, 0.3, 0.2])
        return run(name, examine=lambda: next(values), **options)

    _, weights = scored("whole")
    with pytest.raises(KeyboardInterrupt):
        scored("parts", watch=stop_at(4))
    later = iter([0.3, 0.2])
    _, resumed = run("parts", examine=lambda: next(later))
    assert same(resumed, weights)


def test_the_time_limit_ends_a_run_and_accumulates_over_resumes(run):
    settings = LoopSettings(minutes=0.02, warm_up_steps=2, watch_every=1)
    with pytest.raises(KeyboardInterrupt):
        run("timed", settings=settings, watch=stop_at(2))
    state, _ = run("timed", settings=settings)
    assert state.seconds >= 1.2
    assert state.steps > 2
    shares = [point["seconds"] for point in state.curve]
    assert shares == sorted(shares)


class Faulty:
    """The dense recipe, but the loss is NaN at one step (or from this step on)."""

    def __init__(self, at, once=True):
        self.at, self.once, self.calls = at, once, 0
        self.name, self.problems, self.draw, self.groups = "faulty", DENSE.problems, DENSE.draw, DENSE.groups

    def losses(self, networks, batch, share, device):
        terms = DENSE.losses(networks, batch, share, device)
        self.calls += 1
        bad = self.calls == self.at if self.once else self.calls >= self.at
        return {name: term * float("nan") for name, term in terms.items()} if bad else terms


@pytest.fixture
def plain_values(monkeypatch):
    """`Faulty` is not a dataclass."""
    monkeypatch.setattr(
        "CTSliceSynthesisEngine.training.optimization.training_loop.as_values", lambda recipe: recipe.name
    )


def test_a_nan_loss_restores_the_last_good_state_and_halves_the_learning_rate(run, plain_values):
    said = []
    state, weights = run("faulty", recipe=Faulty(5), say=said.append)
    assert (state.steps, state.setbacks, state.rate_scale) == (9, 1, 0.5)
    assert said == ["The loss exploded at step 4; continuing from step 0 with 0.5 of the learning rate."]
    assert all(weight.isfinite().all() for weight in weights.values())
    _, sound = run("sound")
    assert not same(weights, sound)


def test_with_states_on_disk_only_the_steps_since_the_last_one_are_repeated(run, plain_values):
    said = []
    run("faulty", recipe=Faulty(5), settings=replace(SETTINGS, save_every=0), say=said.append)
    assert "continuing from step 4" in said[0]


def test_the_third_divergence_ends_the_run_with_a_message_and_a_good_state_on_disk(run, plain_values, tmp_path):
    with pytest.raises(SynthesisError, match="exploded 3 times") as caught:
        run("hopeless", recipe=Faulty(4, once=False), settings=replace(SETTINGS, save_every=0))
    assert caught.value.reason == "diverged"
    assert str(caught.value).endswith(".")
    weights = torch.load(tmp_path / "hopeless.state", weights_only=True)["networks"]
    assert all(weight.isfinite().all() for weight in weights.values())


def test_unbounded_weights_count_as_divergence(run):
    with pytest.raises(SynthesisError, match="exploded 3 times"):
        run("wild", recipe=replace(DENSE, through_plane_rate=1e30, axial_rate=1e30))


def test_a_full_disk_ends_the_run_with_a_message_and_keeps_the_last_good_state(run, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run("full", watch=stop_at(3))
    before = (tmp_path / "full.state").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(SynthesisError, match=r"No space left on device.*free some space") as caught:
        run("full", settings=replace(SETTINGS, save_every=0))
    assert caught.value.reason == "cannot-write"
    assert (tmp_path / "full.state").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["full.state"]
    monkeypatch.undo()
    _, resumed = run("full")
    assert same(resumed, run("whole")[1])


def test_a_state_of_another_run_or_a_damaged_one_is_refused(run, tmp_path, scans):
    with pytest.raises(KeyboardInterrupt):
        run("state", watch=stop_at(2))
    with pytest.raises(SynthesisError, match=r"other recipe.*remove it to start over") as caught:
        run("state", recipe=replace(DENSE, axial_rate=1.0))
    assert caught.value.reason == "bad-model"
    with pytest.raises(SynthesisError, match="other seed"):
        run("state", settings=replace(SETTINGS, seed=3))
    with pytest.raises(SynthesisError, match="other networks"):
        model = Model.untrained(PRESETS["compact"])
        train(model, scans, DENSE, SETTINGS, ALONE, tmp_path / "state.state")
    content = (tmp_path / "state.state").read_bytes()
    (tmp_path / "state.state").write_bytes(content[: len(content) // 2])
    with pytest.raises(SynthesisError, match="damaged"):
        run("state")


def test_two_batches_per_step_are_averaged(run):
    one, two = (run(f"{n}", settings=replace(SETTINGS, steps=1, batches=n))[0] for n in (1, 2))
    assert one.curve[0]["loss_axial"] != two.curve[0]["loss_axial"]


def test_an_error_in_the_prefetch_thread_is_raised_in_the_loop(run, scans):
    with pytest.raises(ValueError, match="is shorter than"):
        run("broken", recipe=replace(DENSE, step=replace(STEP, axial_size=(0,))))


def test_batches_are_in_step_order_and_waiting_time_is_measured():
    def draw(step):
        time.sleep(0.02)
        return step

    with Feeder(draw, 7) as feeder:
        assert [feeder.next() for _ in range(5)] == [7, 8, 9, 10, 11]
        assert feeder.waited > 0.01


# Tests with child processes

TRAIN = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.distillation import StepSettings
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings, train
from CTSliceSynthesisEngine.training.training_recipes import GapTraining
from CTSliceSynthesisEngine.training.scans.scan import TrainingScan
from CTSliceSynthesisEngine.training.optimization.process_group import joined

out = Path(sys.argv[1])
class Doomed(GapTraining):  # the second rank crashes once, at its sixth step
    def losses(self, networks, batch, share, device):
        if share >= 0.5 and os.environ.get("RANK") == "1" and not out.with_suffix(".lost").exists():
            out.with_suffix(".lost").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(networks, batch, share, device)

hu = np.random.default_rng(0).normal(0, 200, (12, 100, 100)).astype(np.int16)
step = StepSettings(through_plane_crops=6, axial_crops=2, native_crops=1, axial_size=(16, 16), through_plane_size=(4, 32))
settings = LoopSettings(None, int(sys.argv[2]), warm_up_steps=2, watch_every=1, exams=3, save_every=0)
torch.manual_seed(0)
model, scans = Model.untrained(PRESETS["tiny"]), [TrainingScan("noise", hu, 2.0, 0.8, 1.5)]
with joined(torch.device("cpu")) as world:
    state = train(model, scans, Doomed("dense", step=step), settings, world, out.with_suffix(".state"),
                  watch=lambda figures: print(figures["step"], flush=True))
    if world.leads:
        torch.save({"curve": state.curve, "weights": dict(model.networks.state_dict())}, out)
"""


def test_a_killed_run_resumes_from_its_last_state_with_the_same_result(child, tmp_path, run):
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "killed"), "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, **child) as running:
        while int(running.stdout.readline()) < 20:
            pass
        running.kill()
    assert running.returncode == -signal.SIGKILL
    assert 19 <= torch.load(tmp_path / "killed.state", weights_only=True)["steps"] < 100
    settings = replace(SETTINGS, steps=100)
    state, weights = run("killed", settings=settings)
    whole, expected = run("whole", settings=settings)
    assert same(weights, expected)
    assert steps_and_losses(state) == steps_and_losses(whole)


def test_two_ranks_equal_one_with_a_doubled_batch_even_after_a_crash(child, tmp_path, run):
    (tmp_path / "train.py").write_text(TRAIN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [
        "--max-restarts",
        "1",
        "--monitor-interval",
        "0.1",
        str(tmp_path / "train.py"),
        str(tmp_path / "two"),
        "12",
    ]
    done = subprocess.run(command, capture_output=True, timeout=300, **child)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two.lost").exists()
    assert [int(line) for line in done.stdout.split()] == list(
        range(1, 13)
    )  # only one rank reports, and no step is repeated
    shared = torch.load(tmp_path / "two", weights_only=True)
    state, weights = run("one", settings=replace(SETTINGS, steps=12, batches=2))
    assert len(shared["curve"]) == len(state.curve) == 12
    for first, second in zip(shared["curve"], state.curve, strict=True):
        assert first["loss_through_plane"] == pytest.approx(second["loss_through_plane"], rel=1e-3)
        assert first["loss_axial"] == pytest.approx(second["loss_axial"], rel=1e-3)
    for key, weight in weights.items():
        assert torch.allclose(weight, shared["weights"][key], atol=1e-3), key


def test_a_second_training_with_the_same_output_is_refused_until_the_first_ends(child, tmp_path):
    code = """
import sys, time
from pathlib import Path
from CTSliceSynthesisEngine.training.optimization.training_state import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "model.pt.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, **child) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(SynthesisError, match=r"Another training is writing to .*model.pt") as caught,
            locked(path),
        ):
            pass
        assert caught.value.reason == "cannot-write"
        holder.kill()
    with locked(path):  # the lock of a dead process needs no cleanup
        pass
    assert not path.exists()
