"""The progress bar always advances, never goes back, and is complete only at the end of the run."""

import importlib
from types import SimpleNamespace

import pytest


@pytest.fixture
def clock(harness, monkeypatch):
    """A clock that the test controls."""
    now = SimpleNamespace(seconds=0.0)
    module = importlib.import_module("CTSliceSynthesisLib.Processes.Progress")
    monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    return now


@pytest.fixture
def tracker(clock):
    return importlib.import_module("CTSliceSynthesisLib.Processes.Progress").Tracker(estimatedSeconds=60)


def test_between_two_events_the_bar_advances_but_never_to_the_end(clock, tracker):
    tracker.update("synthesize", 0, 10)
    shares = []
    for clock.seconds in range(0, 4000, 20):
        shares.append(tracker.now().share)
    assert shares == sorted(shares)
    assert shares[1] > shares[0]
    assert shares[-1] < 0.9


def test_events_move_the_bar_and_late_ones_do_not_move_it_back(clock, tracker):
    tracker.update("synthesize", 5, 10)
    half = tracker.now()
    assert half.stage == "Making slices"
    assert 0.4 < half.share < 0.6
    tracker.update("synthesize", 2, 10)
    assert tracker.now().share >= half.share
    tracker.update("write", 1, 1)
    assert tracker.now().stage == "Checking the result"
    assert 0.9 < tracker.now().share < 1


def test_the_remaining_time_follows_the_progress(clock, tracker):
    tracker.update("synthesize", 0, 10)
    clock.seconds = 30
    tracker.update("synthesize", 5, 10)
    assert 20 < tracker.now().remainingSeconds < 40


@pytest.mark.parametrize(("done", "total"), [(1, 0), (None, 3), ("x", "y"), (float("nan"), 2)])
def test_invalid_events_change_nothing(tracker, done, total):
    before = tracker.now().share
    tracker.update("synthesize", done, total)
    assert tracker.now().share == tracker.now().share <= max(before, 0.05)


def test_durations_are_rounded(harness):
    duration = importlib.import_module("CTSliceSynthesisLib.Widgets.Wording").duration
    assert [duration(s) for s in (0.2, 12, 99, 100, 3000)] == ["5 s", "10 s", "100 s", "2 min", "50 min"]
