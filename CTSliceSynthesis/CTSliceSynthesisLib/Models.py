"""The models there are, and what their cards say, in words."""

from __future__ import annotations

from html import escape
from pathlib import Path

from CTSliceSynthesisEngine.networks.recipes import Recipe, from_dict
from CTSliceSynthesisEngine.networks.registry import BundledModel, bundled_models
from slicer.i18n import tr as _


def names() -> list[str]:
    """Names of the bundled models, the default one first."""
    return [model.name for model in bundled_models()]


def find(name: str) -> BundledModel | None:
    return next((model for model in bundled_models() if model.name == name), None)


def recipeOf(name: str) -> Recipe | None:
    """Sizes of a model's networks, for the plan; None for a weights file."""
    model = find(name)
    return None if model is None else from_dict(model.card["recipe"])


def problems(name: str) -> list[str]:
    """Why a model cannot be used; empty when all is well. A weights file is checked by the run itself, which loads it."""
    if find(name) is None and not Path(name).is_file():
        return [_("There is no model “{name}”: choose one of {names}.").format(name=name, names=", ".join(names()))]
    return []


def card(name: str) -> str:
    """The model's card as simple HTML: what it is, what it learned from, its limits, its licence."""
    model = find(name)
    if model is None:
        return ""
    sections = [
        f"<p><b>{escape(model.name)}</b>: {escape(model.card['summary'])}</p>",
        section(_("Limits"), model.card["limits"]),
        section(_("Learned from"), [f"{scan['source']} ({scan['licence']})" for scan in model.card["data"]]),
        section(_("Measured gain over the best classical method"), gains(model.card["figures"])),
        f"<p>{escape(model.card['licence'])}<br>SHA-256 {model.sha256[:16]}…</p>",
    ]
    return "".join(sections)


def section(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p><b>{escape(title)}</b></p><ul>{items}</ul>"


def gains(figures: list[dict]) -> list[str]:
    """One line for each scan: its smallest and largest gain, over all factors and profiles, with the thickness known."""
    known = [row for row in figures if row["way"] == "three-view"]
    lines = []
    for scan in dict.fromkeys(row["scan"] for row in known):
        found = [row["gain_db"] for row in known if row["scan"] == scan]
        lines.append(f"{scan}: {min(found):+.1f} … {max(found):+.1f} dB PSNR")
    return lines
