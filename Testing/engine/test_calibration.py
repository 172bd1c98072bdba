"""What is remembered of this machine's speed, and what a damaged or missing memory does."""

import pytest
from CTSliceSynthesisEngine.synthesis import calibration


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder that nobody else writes to."""
    monkeypatch.setattr(calibration, "speed_file", lambda: tmp_path / "cache" / "speed.json")
    return tmp_path / "cache"


def test_a_run_is_remembered_for_its_kind_of_device():
    calibration.remember("cpu", 5e10)
    calibration.remember("cuda", 5e12)
    assert calibration.multiplications_per_second("cpu") == 5e10
    assert calibration.multiplications_per_second("cuda") == 5e12


def test_without_a_run_a_product_is_timed_once_and_kept():
    first = calibration.multiplications_per_second()
    assert 1e8 < first < 1e14
    assert calibration.multiplications_per_second() == first


@pytest.mark.parametrize("content", ["", "rubbish", "[1, 2]", '{"cpu": "fast"}', '{"cpu": -1}', '{"cpu": null}'])
def test_a_damaged_memory_is_made_anew(own_cache, content):
    own_cache.mkdir()
    (own_cache / "speed.json").write_text(content)
    speed = calibration.multiplications_per_second()
    assert speed > 0
    assert calibration.multiplications_per_second() == speed


def test_a_cache_that_cannot_be_written_is_no_failure(own_cache):
    own_cache.write_text("a file where the folder should be")
    assert calibration.multiplications_per_second() > 0
