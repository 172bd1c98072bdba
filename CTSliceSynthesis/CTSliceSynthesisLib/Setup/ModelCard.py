"""A model's card as simple HTML. Cards of added files were written by anybody: every value is taken as it is, and escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from slicer.i18n import tr as _

from . import Models

MOST_LINES = 40
MOST_FIGURES = 1000  # rows that are looked at: a card has one for each scan, factor and profile
LONGEST = 400


def html(name: str) -> str:
    """What a model is, what it learned from, how good it is, its limits and its licence."""
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
    """One line about a model that has none of its own."""
    training = card.get("training")
    training = training if isinstance(training, dict) else {}
    recipe = training.get("recipe")
    parts = [
        _("recipe {name}").format(name=recipe.get("name")) if isinstance(recipe, dict) else "",
        _("started from {start}").format(start=training["start"]) if training.get("start") else "",
        _("{minutes} minutes of training").format(minutes=training["minutes"]) if "minutes" in training else "",
    ]
    return ", ".join(filter(None, parts)) or _("nothing is told about its training")


def text(value: Any) -> str:
    """Any value as a short text without markup."""
    return escape(str(value)[:LONGEST])


def items(value: Any, most: int = MOST_LINES) -> list:
    return value[:most] if isinstance(value, list) else []


def listed(title: str, lines) -> str:
    """A titled list; nothing without lines."""
    rows = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<p><b>{escape(title)}</b></p><ul>{rows}</ul>" if rows else ""


def scans(card: dict) -> list:
    """Every scan that the weights have learned from, those that came with the weights they started from as well."""
    found: list = []
    while isinstance(card, dict) and len(found) < MOST_LINES:
        found += [row for row in items(card.get("data")) if row not in found]
        card = card.get("started_from")
    return found


def scan(row: Any) -> str:
    """Where a scan comes from, and its licence; its name where nobody told."""
    if not isinstance(row, dict):
        return str(row)
    source = row.get("source")
    known = row.get("scan") if source in (None, "", "not given") else source
    return _("{source} (licence {licence})").format(source=known, licence=row.get("licence"))


def gains(figures: list) -> list[str]:
    """One line for each scan: its smallest and largest gain, over all factors and profiles, with the thickness known."""
    rows = [
        row
        for row in figures
        if isinstance(row, dict) and row.get("way") == "three-view" and isinstance(row.get("gain_db"), (int, float))
    ]
    lines = []
    for name in dict.fromkeys(str(row.get("scan")) for row in rows):
        found = [row["gain_db"] for row in rows if str(row.get("scan")) == name]
        lines.append(f"{name}: {min(found):+.1f} … {max(found):+.1f} dB PSNR")
    return lines


def verdict(value: Any) -> str:
    """What the trainer's gate said, scan by scan."""
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
