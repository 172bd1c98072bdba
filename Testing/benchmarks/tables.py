"""README's tables of figures, from the card of the bundled model: written, so that nobody copies figures by hand.

    python Testing/benchmarks/tables.py [README.md]

Prints them, and the extremes that README's sentences tell; with a file, its tables with the same heads are replaced.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from CTSliceSynthesisEngine.networks.registry import BUNDLED

Row = dict[str, Any]

TOLD, UNTOLD = "three-view", "three-view, thickness unknown"
SCANS = {
    "rider_chest_0p8": ("RIDER", "chest 0.8 mm, RIDER"),
    "nlst_chest_2p0": ("NLST", "chest 2 mm, low dose, NLST"),
    "ts_body_1p5iso": ("sample", "body 1.5 mm, the sample's whole scan"),
}
"""Names in tables, short and long."""
TISSUES = ("lung", "fat", "soft", "bone")
TENTHS = (0, 2, 4, 6, 8, 9)
"""Which tenths of the expected error are shown."""


def bundled_rows() -> list[Row]:
    """The figures of the bundled model's card."""
    rows: list[Row] = json.loads((BUNDLED / "compact.json").read_text(encoding="utf-8"))["figures"]
    return rows


def tables(rows: Sequence[Row]) -> list[str]:
    """In the order they stand in: gains with gaps and with slabs, bias, expected error, even texture."""
    return [
        _gains(rows, "gap"),
        _gains(rows, "slab"),
        _bias(rows),
        _expected_error(rows),
        _even_texture(rows),
    ]


def _gains(rows: Sequence[Row], profile: str) -> str:
    found = {(row["scan"], row["factor"], row["way"]): row for row in rows if row["profile"] == profile}

    def cell(scan: str, factor: int) -> str:
        told, untold = (found[scan, factor, way] for way in (TOLD, UNTOLD))
        gains = f"{told['gain_db']:+.2f} / {untold['gain_db']:+.2f}"
        return f"{told['psnr_db']:.2f} ({gains}), {told['ssim']:.4f} ({told['ssim_gain']:+.4f})"

    body = [[f"x{factor}", *(cell(scan, factor) for scan in SCANS)] for factor in (2, 3, 4, 5)]
    return _table(["factor", *(long for _, long in SCANS.values())], body)


def _bias(rows: Sequence[Row]) -> str:
    def pairs(row: Row, prefix: str) -> str:
        ours, cubic = row[f"{prefix}bias_hu"], row[f"cubic_{prefix}bias_hu"]
        return ", ".join(f"{ours[tissue]:+.1f} ({cubic[tissue]:+.1f})" for tissue in TISSUES)

    body = [
        [_name(row), pairs(row, ""), pairs(row, "region_")]
        for row in _told(rows)
        if row["profile"] == "gap" and row["factor"] in (2, 4)
    ]
    return _table(["scan", "by the true HU", "by region"], body)


def _expected_error(rows: Sequence[Row]) -> str:
    heads = ["scan", "stated", "disagreement", "neighbours", "stated HU", "true HU", "right of 10"]
    body = []
    for row in _told(rows):
        if "expected_error" in row:
            known = row["expected_error"]
            ranks = [known[f"rank_correlation{part}"] for part in ("", "_disagreement", "_neighbours")]
            tenths = [" ".join(f"{known[key][tenth]:.0f}" for tenth in TENTHS) for key in ("stated_hu", "true_hu")]
            body.append([_name(row), *(f"{rank:.2f}" for rank in ranks), *tenths, str(10 - known["tenths_off"])])
    body.sort(key=lambda cells: "slab" in cells[0])
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
    return f"{SCANS[row['scan']][0]} x{row['factor']}{', slab' if row['profile'] == 'slab' else ''}"


def _table(heads: Sequence[str], body: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *body))


def with_tables(text: str, new: Sequence[str]) -> str:
    """A page with tables replaced by those with the same heads; of several with the same, by their order."""
    paragraphs = text.split("\n\n")
    left = list(new)
    for place, paragraph in enumerate(paragraphs):
        heads = paragraph.partition("\n")[0]
        match = next((table for table in left if table.partition("\n")[0] == heads), None)
        if match is not None:
            left.remove(match)
            paragraphs[place] = match
    if left:
        raise SystemExit(f"No place was found for the table with the heads {left[0].partition(chr(10))[0]}.")
    return "\n\n".join(paragraphs)


def extremes(rows: Sequence[Row]) -> list[str]:
    """What sentences tell of all runs."""
    sentences = []
    for profile in ("gap", "slab"):
        for way in (TOLD, UNTOLD):
            added = [
                row["psnr_db"] - row["without_axial_psnr_db"]
                for row in rows
                if (row["profile"], row["way"]) == (profile, way)
            ]
            sentences.append(f"{profile}, {way}: the axial view adds {min(added):+.3f} to {max(added):+.3f} dB")
    for tissue in TISSUES:
        ours, cubic = (
            max(abs(row[key][tissue]) for row in _told(rows)) for key in ("region_bias_hu", "cubic_region_bias_hu")
        )
        sentences.append(f"bias by region, {tissue}: at most {ours:.1f} HU (cubic {cubic:.1f})")
    return sentences


def main() -> None:
    """Print, or put into a page."""
    rows = bundled_rows()
    if len(sys.argv) > 1:
        page = Path(sys.argv[1])
        page.write_text(with_tables(page.read_text(encoding="utf-8"), tables(rows)), encoding="utf-8")
    print(*tables(rows), "\n".join(extremes(rows)), sep="\n\n")


if __name__ == "__main__":
    main()
