"""Draws the picture of the architecture page: `python Testing/draw_architecture.py [FILE]`.

Rooms and groups are read from the disk, so a room that was renamed or added changes the picture; what each does is its
docstring's first sentence, up to the first colon or full stop.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "ScreenShots" / "architecture.png"
ENGINE, LIB = (ROOT / "CTSliceSynthesis" / name for name in ("CTSliceSynthesisEngine", "CTSliceSynthesisLib"))
ROWS = [["jobs"], ["training"], ["evaluation"], ["synthesis"], ["networks", "volume"]]
"""The engine's rooms from top to bottom: each imports from the rows below it alone."""
LIB_ROWS = [["Widgets", "Views"], ["Session.py"], ["Processes"], ["Setup", "Scene"]]
WIDTH, HEIGHT, GAP = 4.6, 1.15, 0.3
LEFT = 13.2  # of the engine
COLORS = {"engine": "#dbe9f6", "lib": "#fdebd3", "edge": "#44546a"}


def purpose(place: Path) -> str:
    """The first sentence of the docstring of a package or a module."""
    source = place if place.suffix else place / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def groups(folder: Path) -> str:
    """The packages inside a package."""
    return ", ".join(sorted(path.parent.name for path in folder.glob("*/__init__.py")))


def draw_rows(axes: Axes, root: Path, rows: list[list[str]], left: float, top: float, color: str) -> float:
    """Boxes of a package's rooms, row by row; returns where the last one ends."""
    for row in rows:
        width = (2 * WIDTH + GAP - GAP * (len(row) - 1)) / len(row)
        for column, name in enumerate(row):
            x = left + column * (width + GAP)
            box = FancyBboxPatch(
                (x, top - HEIGHT), width, HEIGHT, boxstyle="round,pad=0.05", fc=color, ec=COLORS["edge"]
            )
            axes.add_patch(box)
            axes.text(x + 0.1, top - 0.12, name, weight="bold", va="top", size=10)
            text = purpose(root / name)
            inside = groups(root / name)
            lines = textwrap.wrap(text, int(width * 8.4)) + ([f"[{inside}]"] if inside else [])
            axes.text(x + 0.1, top - 0.42, "\n".join(lines[:3]), va="top", size=7.5)
        top -= HEIGHT + GAP
    return top


def main() -> None:
    figure, axes = plt.subplots(figsize=(14.4, 6.2), dpi=100)
    axes.set_xlim(-0.2, LEFT + 2 * WIDTH + 0.6)
    axes.set_ylim(-7.7, 1.2)
    axes.axis("off")
    heads = (
        (0.0, "CTSliceSynthesisLib: the Slicer side", "what the panel and scripts use"),
        (LEFT, "CTSliceSynthesisEngine: no Slicer, no Qt", "imports point down"),
    )
    for x, head, text in heads:
        axes.text(x, 0.85, head, size=12, weight="bold")
        axes.text(x, 0.45, text, size=9)
    draw_rows(axes, LIB, LIB_ROWS, 0, 0.2, COLORS["lib"])
    draw_rows(axes, ENGINE, ROWS, LEFT, 0.2, COLORS["engine"])
    right, processes, jobs = 2 * WIDTH + GAP + 0.1, -3.3, -0.35
    for shift, (start, end), text in (
        (0.15, ((right, processes), (LEFT - 0.1, jobs)), "request, voxels"),
        (-0.45, ((LEFT - 0.1, jobs - 0.5), (right, processes - 0.5)), "events, result files"),
    ):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": COLORS["edge"]})
        axes.text(
            (right + LEFT) / 2, (processes + jobs) / 2 + shift, text, size=9, ha="center", backgroundcolor="white"
        )
    story = "volume.read  >  synthesis.plan  >  coronal, sagittal and axial views  >  fusion  >  acquired slices back"
    axes.text(0, -7.4, f"A run:  {story}  >  volume.write", size=10.5)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    figure.savefig(target, bbox_inches="tight")


if __name__ == "__main__":
    main()
