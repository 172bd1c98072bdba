"""Training report as a self-contained page: verdict, curves, metrics, pictures, settings, data."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..synthesis.classical import METHODS
from .report import NAMES
from .training_curves import drawing

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .25em .8em; border-bottom: 1px solid #ddd; }
td + td, th + th { text-align: right; } .best { font-weight: bold; } img { max-width: 100%; }
.passed { color: #1a7f37; } .failed { color: #b42318; } .unknown { color: #8a6d00; }
pre { background: #f6f8fa; padding: 1em; overflow: auto; } .note { color: #666; }
"""
_METRICS = {"psnr_db": ("PSNR dB", "{:.2f}", max), "ssim": ("SSIM", "{:.4f}", max), "mae_hu": ("MAE HU", "{:.2f}", min)}


def page(
    card: Mapping[str, Any],
    curve: Sequence[Mapping[str, float]],
    pictures: Mapping[str, bytes],
    lines: Sequence[str],
) -> str:
    """Return the page as HTML.

    Args:
        card: the model card, with "verdict", "training", "data", "held_out" and "remark".
        curve: values over the run: "step", and "loss_..." or "gain_db".
        pictures: caption -> PNG.
        lines: use of each scan of the cohort.
    """
    verdict = card["verdict"]
    kind = {True: "passed", False: "failed", None: "unknown"}[verdict["passed"]]
    parts = [
        f"<h1>Training of {escape(card['name'])}, {escape(card['date'])}</h1>",
        f'<p class="{kind}"><b>{escape(verdict["sentence"])}</b></p>',
        f"<p>{escape(card['remark'])}</p>" if card["remark"] else "",
        "<h2>Curves</h2>" + (_curves(curve) or "<p>The run was too short for a curve.</p>"),
        "<h2>Against the classical methods</h2>" + _tables(verdict["scans"]),
        "<h2>Before and after</h2>" + _pictures(pictures),
        "<h2>Scans</h2>" + _list(lines) + _data([*card["data"], *card["held_out"]]),
        f"<h2>Settings</h2><pre>{escape(json.dumps(_settings(card), indent=1, ensure_ascii=False, default=list))}</pre>",
        '<p class="note">Synthesized slices are estimates, for research use only.</p>',
    ]
    head = f'<meta charset="utf-8"><title>{escape(verdict["sentence"])}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _settings(card: Mapping[str, Any]) -> dict[str, Any]:
    return {name: card[name] for name in ("training", "recipe", "parameters") if name in card}


def _curves(curve: Sequence[Mapping[str, float]]) -> str:
    names = sorted({name for point in curve for name in point if name.startswith("loss_")})
    losses = {
        name.removeprefix("loss_"): [(point["step"], point[name]) for point in curve if name in point] for name in names
    }
    gains = {"gain": [(point["step"], point["gain_db"]) for point in curve if "gain_db" in point]}
    return drawing(losses, "step", "running means of the losses, x 4096") + drawing(
        gains, "step", "dB against 4-point cubic, held out"
    )


def _tables(scans: Sequence[Mapping[str, Any]]) -> str:
    if not scans:
        return "<p>No scan was evaluated.</p>"
    return '<p class="note">Synthesized slices only.</p>' + "".join(_table(scan) for scan in scans)


def _table(scan: Mapping[str, Any]) -> str:
    """Return the table of one scan at one factor: a row per method, best values in bold."""
    heads = "".join(f"<th>{title}</th>" for title, _, _ in _METRICS.values())
    rows = []
    for method, figures in scan["methods"].items():
        cells = []
        for metric, (_, form, best) in _METRICS.items():
            known = [row[metric] for row in scan["methods"].values() if row.get(metric) is not None]
            value = figures.get(metric)
            mark = ' class="best"' if value is not None and value == best(known) else ""
            cells.append(f"<td{mark}>{'' if value is None else form.format(value)}</td>")
        rows.append(f"<tr><td>{escape(NAMES.get(method, method))}</td>{''.join(cells)}</tr>")
    rival = NAMES.get(scan["rival"], scan["rival"]) if scan["rival"] in METHODS else scan["rival"]
    title = f"{escape(scan['scan'])}, x{scan['factor']}: {scan['gain_db']:+.2f} dB against {escape(rival)}"
    return f"<h3>{title}</h3><table><tr><th>method</th>{heads}</tr>{''.join(rows)}</table>"


def _pictures(pictures: Mapping[str, bytes]) -> str:
    if not pictures:
        return "<p>There are no pictures: no scan was held out, or matplotlib is not installed.</p>"
    return "".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in pictures.items()
    )


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _data(rows: Sequence[Mapping[str, Any]]) -> str:
    names = ("scan", "slices", "slice_spacing_mm", "thickness_mm", "source", "licence")
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(row[name]))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
