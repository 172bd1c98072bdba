"""Formats a model card as simple HTML. Cards of added files are untrusted: values of any type are accepted and escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from slicer.i18n import tr as _

from . import Models

MOST_LINES = 40
MOST_FIGURES = 1000  # rows that are read: a card has one for each scan, factor and profile
LONGEST = 400


def html(name: str) -> str:
    """Return the card of a model as HTML: summary, limits, training data, measured gain, verdict and license."""
    model = Models.find(name)
    if model is None:
        return ""
    card = model.card
    facts = [_("Added or trained here") if not Models.isBundled(name) else _("Comes with the module")]
    facts += [text(card[key]) for key in ("date", "licence") if card.get(key)]
    sections = [
        f"<p><b>{escape(model.name)}</b>: {text(card.get('summary') or summary(card))}</p>",
        listed(_("Limits"), items(card.get("limits"))),
        listed(_("Learned from"), map(scan, scans(card))),
        listed(_("Measured gain over the best classical method"), gains(items(card.get("figures"), MOST_FIGURES))),
        verdict(card.get("verdict")),
        f"<p>{' · '.join(facts)}<br>SHA-256 {text(model.sha256)}</p>",
    ]
    return "".join(sections)


def summary(card: dict) -> str:
    """Return a one-line summary for a card without one."""
    training = card.get("training")
    training = training if isinstance(training, dict) else {}
    recipe = training.get("recipe")
    parts = [
        _("recipe {name}").format(name=recipe.get("name")) if isinstance(recipe, dict) else "",
        _("started from {start}").format(start=training["start"]) if training.get("start") else "",
        _("{minutes} minutes of training").format(minutes=training["minutes"]) if "minutes" in training else "",
    ]
    return ", ".join(filter(None, parts)) or _("no information about its training")


def text(value: Any) -> str:
    """Return any value as short, escaped text."""
    return escape(str(value)[:LONGEST])


def items(value: Any, most: int = MOST_LINES) -> list:
    return value[:most] if isinstance(value, list) else []


def listed(title: str, lines) -> str:
    """Return a titled HTML list; "" without lines."""
    rows = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<p><b>{escape(title)}</b></p><ul>{rows}</ul>" if rows else ""


def scans(card: dict) -> list:
    """Return every scan that the weights were trained on, including those of the weights they were initialized from."""
    rows: list = []
    while isinstance(card, dict) and len(rows) < MOST_LINES:
        rows += [row for row in items(card.get("data")) if row not in rows]
        card = card.get("started_from")
    return rows


def scan(row: Any) -> str:
    """Describe the source and license of a scan; its name if the source is unknown."""
    if not isinstance(row, dict):
        return str(row)
    source = row.get("source")
    known = row.get("scan") if source in (None, "", "not given") else source
    return _("{source} (licence {licence})").format(source=known, licence=row.get("licence"))


def gains(figures: list) -> list[str]:
    """Return one line per scan: its smallest and largest gain over all factors and profiles, with known thickness."""
    rows = [
        row
        for row in figures
        if isinstance(row, dict) and row.get("way") == "three-view" and isinstance(row.get("gain_db"), (int, float))
    ]
    lines = []
    for name in dict.fromkeys(str(row.get("scan")) for row in rows):
        values = [row["gain_db"] for row in rows if str(row.get("scan")) == name]
        lines.append(f"{name}: {min(values):+.1f} … {max(values):+.1f} dB PSNR")
    return lines


def verdict(value: Any) -> str:
    """Return the validation verdict of the training, with the gain on each scan."""
    if not isinstance(value, dict):
        return ""
    rows = [row for row in items(value.get("scans")) if isinstance(row, dict)]
    lines = [
        _("{scan} at x{factor}: {gain:+.2f} dB against {rival}").format(
            scan=row.get("scan"), factor=row.get("factor"), gain=row["gain_db"], rival=row.get("rival")
        )
        for row in rows
        if isinstance(row.get("gain_db"), (int, float))
    ]
    sentence = str(value.get("sentence", ""))
    return f"<p>{text(sentence)}</p>" + listed(_("Measured on held-out scans"), lines)
