"""Output of a comparison as a readable table and as JSON."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ..synthesis.classical import METHODS
from ..whole_file import write_whole
from .holdout import Comparison

VERSION = 1
"""Version of the JSON format; incremented when a key is removed or changes its meaning."""

NAMES = {"linear": "linear", "cubic": "4-point cubic", "bspline": "B-spline"}
"""Method -> display name; other methods are shown by their own names."""

COLUMNS = {
    "psnr_db": ("PSNR dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "mae_hu": ("MAE HU", "{:.2f}"),
    "bias_air_hu": ("bias air", "{:+.1f}"),
    "bias_lung_hu": ("lung", "{:+.1f}"),
    "bias_fat_hu": ("fat", "{:+.1f}"),
    "bias_soft_hu": ("soft", "{:+.1f}"),
    "bias_bone_hu": ("bone HU", "{:+.1f}"),
    "texture": ("texture", "{:.2f}"),
}
"""Metric -> (heading, format), in table order."""

_GAINS = {"psnr_db": ("PSNR", "dB", "{:+.2f}"), "ssim": ("SSIM", "", "{:+.4f}"), "mae_hu": ("MAE", "HU", "{:+.2f}")}


def markdown(comparison: Comparison) -> str:
    """Return a Markdown table, one row per method, best values in bold, and the gain over the best classical method."""
    header, *rows = _table(comparison, "**{}**")
    rule = ["---", *["---:"] * (len(header) - 1)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])
    return "\n\n".join([table, *notes(comparison)]) + "\n"


def text_table(comparison: Comparison) -> str:
    """Return the same table for a terminal: aligned columns, best values marked by a star."""
    rows = _table(comparison, "{}*")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join([*lines, "", *notes(comparison)]) + "\n"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Plain data for JSON; figures have four decimals, and null where they have no meaning (or no end)."""
    return {
        "version": VERSION,
        "factor": comparison.factor,
        "profile": comparison.profile,
        "slice_spacing_mm": round(comparison.slice_spacing, 4),
        "thickness_mm": comparison.thickness,
        "synthesized_slices": comparison.counted,
        "methods": {method: {k: _plain(v) for k, v in row.items()} for method, row in comparison.rows.items()},
        "best_classical": {metric: comparison.best_classical(metric) for metric in _GAINS},
        "remarks": list(comparison.remarks),
    }


def write(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write a report: JSON if `path` ends in .json, otherwise Markdown. An existing file is replaced atomically.

    Raises:
        SynthesisError: "cannot-write" if the folder is missing or not writable.
    """
    is_json = Path(path).suffix.lower() == ".json"
    text = json.dumps(as_json(comparison), indent=2, ensure_ascii=False) + "\n" if is_json else markdown(comparison)
    write_whole(text.encode(), path)


def notes(comparison: Comparison) -> list[str]:
    """Return the notes: what the table evaluates, the gain of each method over the best classical one, and remarks."""
    thickness = "thickness unknown" if comparison.thickness is None else f"{comparison.thickness:g} mm thick"
    counted = (
        f"Factor {comparison.factor}, {comparison.profile}: from slices {comparison.slice_spacing:g} mm apart "
        f"({thickness}). Evaluated on the {comparison.counted} synthesized slices only; acquired slices are copies. "
        "Bias inside the body. Texture: noise of synthesized over acquired slices, 1 is best."
    )
    gains = [_gain(comparison, method) for method in comparison.rows if method not in METHODS]
    return [counted, *gains, *comparison.remarks]


def _gain(comparison: Comparison, method: str) -> str:
    parts = []
    for metric, (name, unit, form) in _GAINS.items():
        rival = comparison.best_classical(metric)
        if rival is not None and method != rival:
            change = comparison.rows[method][metric] - comparison.rows[rival][metric]
            parts.append(f"{' '.join(filter(None, [form.format(change), unit, name]))} ({NAMES[rival]})")
    return f"{method} against the best classical method: {', '.join(parts)}."


def _table(comparison: Comparison, mark: str) -> list[list[str]]:
    """Return heading and rows as text, without empty columns; `mark` is the format of the best values."""
    metrics = [metric for metric in COLUMNS if comparison.best(metric) is not None]
    rows = [["method", *[COLUMNS[metric][0] for metric in metrics]]]
    for method in comparison.rows:
        rows.append([NAMES.get(method, method), *[_cell(comparison, method, metric, mark) for metric in metrics]])
    return rows


def _cell(comparison: Comparison, method: str, metric: str, mark: str) -> str:
    form = COLUMNS[metric][1]
    best = comparison.best(metric)
    texts = [form.format(comparison.rows[name].get(metric, math.nan)) for name in (method, best) if name]
    return mark.format(texts[0]) if texts[0] == texts[1] else texts[0]


def _plain(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
