"""The stored speed of this machine, including damaged or missing files."""

import pytest
from CTSliceSynthesisEngine.synthesis import run_time


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A private cache folder."""
    monkeypatch.setattr(run_time, "speed_file", lambda: tmp_path / "cache" / "speed.json")
    return tmp_path / "cache"


def test_long_runs_move_the_estimate_towards_their_duration():
    for _ in range(8):
        run_time.remember("cpu", 5e12, 100 + run_time.START_SECONDS)
        run_time.remember("cuda", 5e14, 100 + run_time.START_SECONDS)
    assert run_time.multiplications_per_second("cpu") == pytest.approx(5e10, rel=0.1)
    assert run_time.multiplications_per_second("cuda") == pytest.approx(5e12, rel=0.1)


def test_a_small_job_does_not_change_the_estimate():
    """Its time is mostly start-up: a tiny scan once made the estimate wrong by a factor of fifty."""
    before = run_time.multiplications_per_second()
    for seconds in (0.1, 1.0, run_time.START_SECONDS, run_time.START_SECONDS + 2):
        run_time.remember("cpu", 1e6, seconds)
    assert run_time.multiplications_per_second() == before
    run_time.remember("cpu", before, 6.0)  # a busy moment: four times slower
    assert before / 2 < run_time.multiplications_per_second() < before


def test_without_runs_a_matrix_product_is_timed_once_and_stored():
    first = run_time.multiplications_per_second()
    assert 1e8 < first < 1e14
    assert run_time.multiplications_per_second() == first


@pytest.mark.parametrize(
    "content",
    [
        "",
        "rubbish",
        "[1, 2]",
        "[" * 9999,
        '{"cpu": "fast"}',
        '{"cpu": 1e999}',
        '{"cpu": NaN}',
        '{"cpu": 1e-300}',
        '{"cpu": -1}',
        '{"cpu": null}',
    ],
)
def test_a_damaged_speed_file_is_replaced(own_cache, content):
    own_cache.mkdir()
    (own_cache / "speed.json").write_text(content)
    speed = run_time.multiplications_per_second()
    assert speed > 0
    assert run_time.multiplications_per_second() == speed


def test_an_unwritable_cache_is_ignored(own_cache):
    own_cache.write_text("a file where the folder should be")
    assert run_time.multiplications_per_second() > 0
