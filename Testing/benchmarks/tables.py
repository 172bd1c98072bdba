"""The tables of figures in README and on the page of results, from the cards of the bundled models.

    python Testing/benchmarks/tables.py [README.md Resources/Documentation/results.md]

Prints them, and the extremes that the sentences beside them quote; with pages, it replaces the tables that have the same heads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from CTSliceSynthesisEngine.networks.registry import BUNDLED, DEFAULT_MODEL, bundled_models

Row = dict[str, Any]

TOLD, UNTOLD = "three-view", "three-view, thickness unknown"
SCANS = {
    "rider_chest_0p8": ("RIDER", "chest 0.8 mm, RIDER"),
    "nlst_chest_2p0": ("NLST", "chest 2 mm, low dose, NLST"),
    "ts_body_1p5iso": ("sample", "body 1.5 mm, the sample's whole scan"),
}
"""Names in tables, short and long."""
KINDS = {"gap": "thin, far apart", "slab": "touching"}
"""Profiles of the summary, in words."""
STATED_AT = (2, 4)
TISSUES = ("lung", "fat", "soft", "bone")
TENTHS = (0, 2, 4, 6, 8, 9)
"""Which tenths of the expected error are shown."""


def bundled_rows() -> dict[str, list[Row]]:
    """The figures of each bundled model's card."""
    return {
        model.name: json.loads((BUNDLED / f"{model.name}.json").read_text(encoding="utf-8"))["figures"]
        for model in bundled_models()
    }


def tables(rows_of: Mapping[str, Sequence[Row]]) -> list[str]:
    """In the order they stand in: the summary; gains with gaps, slabs and bells; other models beside it; bias, thin slices in
    the places of acquired ones, expected error, even texture."""
    rows = rows_of[DEFAULT_MODEL]
    others = [_beside(name, other, rows) for name, other in rows_of.items() if name != DEFAULT_MODEL]
    made = [
        _summary(rows),
        *(_gains(rows, profile) for profile in ("gap", "slab", "bell")),
        *others,
        _bias(rows),
        _thin(rows),
        _expected_error(rows),
        _even_texture(rows),
    ]
    return [table for table in made if table.count("\n") > 1]  # a head and a rule alone tell nothing


def _summary(rows: Sequence[Row]) -> str:
    """PSNR gain over the best classical method, in four rows."""
    found = {(row["scan"], row["factor"], row["profile"]): row["gain_db"] for row in _told(rows)}
    body = [
        [f"{KINDS[profile]}, x{factor}", *(f"{found[scan, factor, profile]:+.2f} dB" for scan in SCANS)]
        for profile in KINDS
        for factor in STATED_AT
    ]
    return _table(["slices, factor", *(short for short, _ in SCANS.values())], body)


def _gains(rows: Sequence[Row], profile: str) -> str:
    found = {(row["scan"], row["factor"], row["way"]): row for row in rows if row["profile"] == profile}

    def cell(scan: str, factor: int) -> str:
        told, untold = (found[scan, factor, way] for way in (TOLD, UNTOLD))
        gains = f"{told['gain_db']:+.2f} / {untold['gain_db']:+.2f}"
        return f"{told['psnr_db']:.2f} ({gains}), {told['ssim']:.4f} ({told['ssim_gain']:+.4f})"

    factors = sorted({factor for _, factor, _ in found})
    body = [[f"x{factor}", *(cell(scan, factor) for scan in SCANS)] for factor in factors]
    return _table(["factor", *(long for _, long in SCANS.values())], body)


def _beside(name: str, rows: Sequence[Row], default: Sequence[Row]) -> str:
    """Another model: PSNR, and what it adds to the default one's."""
    known = {(row["scan"], row["factor"], row["profile"]): row["psnr_db"] for row in _told(default)}
    found = {(row["scan"], row["factor"], row["profile"]): row["psnr_db"] for row in _told(rows)}
    runs = dict.fromkeys((profile, factor) for _, factor, profile in found)
    body = []
    for profile, factor in runs:
        keys = [(scan, factor, profile) for scan in SCANS]
        body.append([f"{profile} x{factor}", *(f"{found[key]:.2f} ({found[key] - known[key]:+.2f})" for key in keys)])
    return _table([f"{name}, over {DEFAULT_MODEL}", *(short for short, _ in SCANS.values())], body)


def _thin(rows: Sequence[Row]) -> str:
    body = []
    for row in _told(rows):
        if "acquired" in row:
            known = row["acquired"]
            kept, thin = known["kept_psnr_db"], known["thin_psnr_db"]
            name = f"{SCANS[row['scan']][0]} x{row['factor']}, {row['profile']}"
            body.append(
                [name, f"{kept:.2f} dB", f"{thin:.2f} dB ({thin - kept:+.2f})", f"{known['agrees_to_hu']:.1f} HU"]
            )
    return _table(["scan", "kept", "thin", "agrees to"], body)


def _bias(rows: Sequence[Row]) -> str:
    def pairs(row: Row, prefix: str) -> str:
        ours, cubic = row[f"{prefix}bias_hu"], row[f"cubic_{prefix}bias_hu"]
        return ", ".join(f"{ours[tissue]:+.1f} ({cubic[tissue]:+.1f})" for tissue in TISSUES)

    body = [
        [_name(row), pairs(row, ""), pairs(row, "region_")]
        for row in _told(rows)
        if row["profile"] == "gap" and row["factor"] in STATED_AT
    ]
    return _table(["scan", "by the true HU", "by region"], body)


def _expected_error(rows: Sequence[Row]) -> str:
    heads = ["scan", "stated", "disagreement", "neighbors", "stated HU", "true HU", "right of 10"]
    body = []
    for row in _told(rows):
        if "expected_error" in row:
            known = row["expected_error"]
            ranks = [known[f"rank_correlation{part}"] for part in ("", "_disagreement", "_neighbours")]
            tenths = [" ".join(f"{known[key][tenth]:.0f}" for tenth in TENTHS) for key in ("stated_hu", "true_hu")]
            body.append([_name(row), *(f"{rank:.2f}" for rank in ranks), *tenths, str(10 - known["tenths_off"])])
    body.sort(key=lambda cells: cells[0].partition(", ")[2])
    return _table(heads, body, right=(1, 2, 3, 6))


def _even_texture(rows: Sequence[Row]) -> str:
    body = []
    for row in _told(rows):
        if "even_texture" in row:
            even = row["even_texture"]
            shown = [(row["texture"], row["psnr_db"]), (even["texture"], even["psnr_db"])]
            cells = [f"{grain:.2f}, {psnr:.2f} dB" for grain, psnr in shown]
            body.append([_name(row), *cells, f"{even['linear_psnr_db']:.2f} dB"])
    return _table(["scan", "estimate", "even texture", "linear"], body)


def _told(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["way"] == TOLD]


def _name(row: Row) -> str:
    return f"{SCANS[row['scan']][0]} x{row['factor']}" + ("" if row["profile"] == "gap" else f", {row['profile']}")


def _table(heads: Sequence[str], body: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *body))


def with_tables(pages: Sequence[str], new: Sequence[str]) -> list[str]:
    """The texts of pages, their tables replaced by those with the same heads; of several with the same, by their order."""
    left = list(new)

    def replaced(paragraph: str) -> str:
        heads = paragraph.partition("\n")[0]
        match = next((table for table in left if table.partition("\n")[0] == heads), None)
        if match is None:
            return paragraph
        left.remove(match)
        return match

    texts = ["\n\n".join(replaced(paragraph) for paragraph in page.split("\n\n")) for page in pages]
    if left:
        raise SystemExit(f"No page has a table with the heads {left[0].partition(chr(10))[0]}.")
    return texts


def extremes(rows: Sequence[Row]) -> list[str]:
    """What sentences tell of all runs."""
    sentences = []
    for profile in ("gap", "slab", "bell"):
        for way in (TOLD, UNTOLD):
            added = [
                row["psnr_db"] - row["without_axial_psnr_db"]
                for row in rows
                if (row["profile"], row["way"]) == (profile, way) and "without_axial_psnr_db" in row
            ]
            if added:
                sentences.append(f"{profile}, {way}: the axial view adds {min(added):+.3f} to {max(added):+.3f} dB")
    for tissue in TISSUES:
        ours, cubic = (
            max(abs(row[key][tissue]) for row in _told(rows)) for key in ("region_bias_hu", "cubic_region_bias_hu")
        )
        sentences.append(f"bias by region, {tissue}: at most {ours:.1f} HU (cubic {cubic:.1f})")
    return sentences


def main() -> None:
    """Print, or put into pages."""
    rows_of = bundled_rows()
    pages = [Path(name) for name in sys.argv[1:]]
    if pages:
        texts = with_tables([page.read_text(encoding="utf-8") for page in pages], tables(rows_of))
        for page, text in zip(pages, texts, strict=True):
            page.write_text(text, encoding="utf-8")
    print(*tables(rows_of), "\n".join(extremes(rows_of[DEFAULT_MODEL])), sep="\n\n")


if __name__ == "__main__":
    main()
