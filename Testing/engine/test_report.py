"""Hold-out, comparison and reports on small scans, with hand-written metrics and atomic files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.evaluation import report
from CTSliceSynthesisEngine.evaluation.holdout import Comparison, compare, hold_out
from CTSliceSynthesisEngine.synthesis.classical import interpolate_volume
from CTSliceSynthesisEngine.volume.volume import Volume

ROWS = {
    "linear": {"psnr_db": 30.0, "ssim": 0.9, "mae_hu": 20.0, "bias_soft_hu": -5.0, "texture": 0.7},
    "cubic": {"psnr_db": 32.0, "ssim": 0.91, "mae_hu": 18.0, "bias_soft_hu": 2.0, "texture": 0.8},
    "bspline": {"psnr_db": 33.0, "ssim": 0.905, "mae_hu": 17.0, "bias_soft_hu": -1.0, "texture": 0.95},
    "ours": {"psnr_db": 34.5, "ssim": 0.93, "mae_hu": 15.5, "bias_soft_hu": 0.5, "texture": 0.5},
}
COMPARISON = Comparison(2, "slab", 3.0, 3.0, 95, ROWS, ("A remark.",))


@pytest.fixture
def scan(make_volume) -> Volume:
    """23 slices along j with structure to interpolate."""
    rng = np.random.default_rng(0)
    voxels = (np.cumsum(rng.normal(0, 40, (24, 23, 20)), axis=1) - 200).astype(np.int16)
    return make_volume((20, 23, 24), (1, 2, 1), slice_axis=1, voxels=voxels, thickness=2.0)


@pytest.mark.parametrize(("profile", "thickness"), [("gap", 2.0), ("slab", 8.0)])
def test_the_truth_is_cropped_to_end_on_an_acquired_slice(scan: Volume, profile: str, thickness: float) -> None:
    thick, truth = hold_out(scan, 4, profile)
    assert thick.grid.size == (20, 6, 24) and thick.grid.thickness == thickness
    assert truth.grid.matches(thick.grid.refined(4))
    assert np.array_equal(truth.voxels, scan.voxels[:, :21])


def test_every_method_is_scored_on_the_same_slices_in_order(scan: Volume) -> None:
    seen: list[tuple[str, int, int]] = []
    ours = {"ours": lambda thick: interpolate_volume(thick, 2, "cubic")}
    comparison = compare(scan, 2, "gap", ours, lambda *step: seen.append(step))
    assert list(comparison.rows) == ["linear", "cubic", "bspline", "ours"]
    assert comparison.rows["ours"] == pytest.approx(comparison.rows["cubic"], nan_ok=True)
    assert comparison.rows["ours"]["acquired_max_error_hu"] == 0
    assert (comparison.counted, comparison.slice_spacing, comparison.thickness) == (11, 4.0, 2.0)
    assert seen == [("linear", 0, 4), ("cubic", 1, 4), ("bspline", 2, 4), ("ours", 3, 4)]


def test_the_b_spline_is_omitted_with_a_remark_when_there_are_too_few_slices(scan: Volume) -> None:
    comparison = compare(scan, 10, "slab", {})
    assert list(comparison.rows) == ["linear", "cubic"]
    assert comparison.remarks == ("bspline is omitted: it needs 4 thick slices, and there are 3.",)


def test_a_factor_that_leaves_one_slice_is_refused_with_the_numbers(scan: Volume) -> None:
    with pytest.raises(SynthesisError, match=r"23.*at most 22") as caught:
        compare(scan, 23, "gap", {})
    assert caught.value.reason == "bad-option"


def test_a_result_on_another_grid_is_refused(scan: Volume) -> None:
    with pytest.raises(SynthesisError, match="grid"):
        compare(scan, 2, "gap", {"ours": lambda thick: thick})


def test_the_names_of_classical_methods_are_reserved(scan: Volume) -> None:
    with pytest.raises(ValueError, match="cubic"):
        compare(scan, 2, "gap", {"cubic": lambda thick: thick})


def test_the_best_classical_method_is_chosen_per_metric() -> None:
    assert COMPARISON.best_classical("psnr_db") == "bspline"
    assert COMPARISON.best_classical("ssim") == "cubic"
    assert COMPARISON.best_classical("bias_soft_hu") == "bspline"
    assert COMPARISON.best("bias_soft_hu") == "ours"
    assert COMPARISON.best_classical("bias_bone_hu") is None


def test_markdown_sets_the_best_of_each_column_in_bold() -> None:
    lines = report.markdown(COMPARISON).splitlines()
    assert lines[0] == "| method | PSNR dB | SSIM | MAE HU | soft | texture |"
    assert lines[4] == "| B-spline | 33.00 | 0.9050 | 17.00 | -1.0 | **0.95** |"
    assert lines[5] == "| ours | **34.50** | **0.9300** | **15.50** | **+0.5** | 0.50 |"


def test_the_report_describes_evaluated_slices_gains_and_omissions() -> None:
    text = report.markdown(COMPARISON)
    assert "slices 3 mm apart (3 mm thick)" in text and "95 synthesized slices only" in text
    assert "+1.50 dB PSNR (B-spline), +0.0200 SSIM (4-point cubic), -1.50 HU MAE (B-spline)" in text
    assert text.endswith("A remark.\n")


def test_the_terminal_table_is_aligned() -> None:
    table = report.text_table(COMPARISON).split("\n\n")[0].splitlines()
    assert len(table) == 5
    assert "34.50*" in table[4]
    assert table[1].index("30.00") + 5 == table[4].index("34.50*") + 6


def test_json_is_versioned_and_has_null_for_undefined_values() -> None:
    rows = {"linear": {"psnr_db": math.inf, "ssim": math.nan, "mae_hu": 1.23456}}
    data = report.as_json(replace(COMPARISON, rows=rows))
    assert data["version"] == 1 and data["methods"]["linear"] == {"psnr_db": None, "ssim": None, "mae_hu": 1.2346}
    assert data["best_classical"] == {"psnr_db": "linear", "ssim": None, "mae_hu": "linear"}
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_the_suffix_selects_the_format_and_an_old_report_is_replaced(tmp_path: Path) -> None:
    for name in ("bericht ü.json", "report.md"):
        (tmp_path / name).write_text("old")
        report.write(COMPARISON, tmp_path / name)
    assert json.loads((tmp_path / "bericht ü.json").read_text("utf-8")) == report.as_json(COMPARISON)
    assert (tmp_path / "report.md").read_text("utf-8") == report.markdown(COMPARISON)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_report_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    for place in (tmp_path / "missing" / "report.md", tmp_path / "taken"):
        with pytest.raises(SynthesisError, match="choose another place") as caught:
            report.write(COMPARISON, place)
        assert caught.value.reason == "cannot-write"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
