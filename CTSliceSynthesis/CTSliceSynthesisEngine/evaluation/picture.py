"""Comparison picture: the same reformat of the thick, interpolated, synthesized and ground truth scans, and error maps.

The only module that draws. matplotlib is imported only when a picture is requested, and no window is opened.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from ..errors import SynthesisError
from ..volume.volume import Volume
from ..whole_file import write_whole
from .panels import Chart, Panel, charts_of, factor_of, facts_of, panels_of
from .reformat import Box, scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 1600
"""Width in pixels."""

_MARGIN, _GAP, _TITLE, _LINE, _SCALE, _BAR, _FOOT = 20, 14, 44, 34, 10, 58, 44  # pixels
_TALLEST = 1.5  # maximum height of a panel over its width
_DETAIL_SHARE, _DETAIL_ASPECT = 0.3, 0.72
_BACK, _INK, _SOFT, _ACCENT = "#0d1117", "#f0f3f6", "#9aa4b2", "#ffb454"
_LARGE, _NORMAL, _SMALL = 15, 13, 11  # points
_NOTE = "PSNR: all synthesized slices of the scan, peak 4095 HU. Mean: this plane."


def comparison_picture(
    path: str | os.PathLike[str],
    thick: Volume,
    cubic: Volume,
    ours: Volume,
    truth: Volume | None = None,
    disagreement: Volume | None = None,
    window: tuple[float, float] | None = None,
) -> None:
    """Write `comparison_png` to a file; an existing file is replaced atomically.

    Raises:
        SynthesisError: as `comparison_figure`, and "cannot-write".
    """
    write_whole(comparison_png(thick, cubic, ours, truth, disagreement, window), path)


def comparison_png(
    thick: Volume,
    cubic: Volume,
    ours: Volume,
    truth: Volume | None = None,
    disagreement: Volume | None = None,
    window: tuple[float, float] | None = None,
) -> bytes:
    """Return `comparison_figure` as a PNG, 1600 pixels wide."""
    content = io.BytesIO()
    comparison_figure(thick, cubic, ours, truth, disagreement, window).savefig(content, format="png", facecolor=_BACK)
    return content.getvalue()


def comparison_figure(
    thick: Volume,
    cubic: Volume,
    ours: Volume,
    truth: Volume | None = None,
    disagreement: Volume | None = None,
    window: tuple[float, float] | None = None,
) -> Figure:
    """Draw one reformat of all scans, a detail of it, and error maps.

    The plane and the detail are chosen where neighboring thick slices differ most. Superior is up; the patient's right (in
    sagittal reformats: anterior) is on the left; both axes have the same scale.

    Args:
        thick: the acquired slices, drawn as blocks.
        cubic: their 4-point cubic interpolation, on the refined thick grid.
        ours: the result of the networks, on the same grid.
        truth: on the same grid, if available, for PSNR and error maps. Otherwise a map of |ours - cubic| is shown.
        disagreement: of the views in HU on the same grid, for an additional map.
        window: (black, white) HU; by default from the values inside the body.

    Raises:
        SynthesisError: "bad-option" without matplotlib, "bad-geometry" if a volume is on another grid.
    """
    figure_type = _figure_type()
    factor = factor_of(thick, {"cubic": cubic, "ours": ours, "truth": truth, "disagreement": disagreement})
    shown = scene(thick, ours.grid, _DETAIL_SHARE, _DETAIL_ASPECT)
    window = window or shown.window
    panels = panels_of(shown.reformat, thick, cubic, ours, truth, factor)
    sheet = _Sheet(figure_type(dpi=100, facecolor=_BACK), panels, shown.detail)
    for column, panel in enumerate(panels):
        sheet.scan(column, panel, window)
    for column, chart in enumerate(charts_of(shown.reformat, cubic, ours, truth, disagreement), start=1):
        sheet.chart(column, chart)
    sheet.marks(shown.reformat.left)
    sheet.words(facts_of(shown.reformat, thick, ours, factor, window), _NOTE if truth else "")
    return sheet.figure


class _Sheet:
    """The figure, laid out in pixels from the upper left corner: one column per scan.

    title    title    title
    whole    whole    whole
    detail   detail   detail
    facts    map      map       each map below its scan
             scale    scale
    caption
    """

    def __init__(self, figure: Figure, panels: list[Panel], detail: Box) -> None:
        self.figure, self.detail = figure, detail
        self.field = panels[-1].size  # the fine grid sets the field of view
        self.panel = (WIDTH - 2 * _MARGIN - (len(panels) - 1) * _GAP) / len(panels)
        self.whole = self.panel * min(self.field[1] / self.field[0], _TALLEST)
        left, top, right, bottom = detail
        self.zoom = self.panel * (bottom - top) / (right - left)
        self.detail_top = _TITLE + self.whole + _GAP
        self.chart_top = self.detail_top + self.zoom + _TITLE + _GAP
        self.height = round(self.chart_top + max(self.whole, _LINE * 6) + _BAR + _FOOT)
        figure.set_size_inches(WIDTH / figure.dpi, self.height / figure.dpi)

    def scan(self, column: int, panel: Panel, window: tuple[float, float]) -> None:
        """Draw one scan: the whole plane with the detail framed, and the detail."""
        self._heading(column, _TITLE, panel.title, panel.note)
        style = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
        left, top, right, bottom = self.detail
        whole = self._image(column, _TITLE, self.whole, panel, self._everything, style)
        whole.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=_ACCENT, linewidth=1.2)
        enlarged = self._image(column, self.detail_top, self.zoom, panel, self.detail, style)
        enlarged.spines[:].set(visible=True, color=_ACCENT, linewidth=1.2)

    def marks(self, left: str) -> None:
        """Draw orientation labels and a scale bar on the first scan."""
        from matplotlib.patheffects import withStroke

        axes = self.figure.axes[0]
        width, height = self.field
        outline = [withStroke(linewidth=3, foreground="black")]  # readable on air and on bone
        length = 50 if width > 150 else 10
        end, level = 0.97 * width, height - 0.03 * width
        axes.plot([end - length, end], [level, level], color=_INK, lw=2, solid_capstyle="butt", path_effects=outline)
        for x, y, text in (
            (0.03 * width, height / 2, left),
            (width / 2, 0.04 * width, "S"),
            (end - length / 2, level - 0.04 * width, f"{length} mm"),
        ):
            axes.text(x, y, text, color=_INK, fontsize=_SMALL, ha="center", va="center", path_effects=outline)

    def chart(self, column: int, chart: Chart) -> None:
        """Draw one map with its color scale."""
        self._heading(column, self.chart_top, chart.title, f"mean {chart.image.mean():.1f} HU")
        style = {"cmap": chart.colors, "vmin": 0, "vmax": chart.top}
        panel = Panel(chart.title, "", chart.image, self.field)
        axes = self._image(column, self.chart_top, self.whole, panel, self._everything, style)
        scale_top = self.chart_top + self.whole + _GAP
        scale = self.figure.add_axes(self._axes_box(column, scale_top, _SCALE))
        self.figure.colorbar(axes.images[0], cax=scale, orientation="horizontal", ticks=[])
        scale.spines["outline"].set_visible(False)
        left, right = self._left(column), self._left(column) + self.panel
        for x, text, side in ((left, "0", "left"), (right, f"{chart.top:.0f} HU and more", "right")):
            self._text(x, scale_top + _SCALE + 14, text, _SOFT, _SMALL, side)

    def words(self, facts: dict[str, str], foot: str) -> None:
        """Draw the facts left of the maps, and a disclaimer and a note at the bottom."""
        self._heading(0, self.chart_top, "what is shown", "")
        for number, (label, value) in enumerate(facts.items()):
            level = self.chart_top + _LINE * (number + 0.5)
            self._text(_MARGIN, level, label, _SOFT, _NORMAL)
            self._text(_MARGIN + 0.32 * self.panel, level, value, _INK, _NORMAL)
        level = self.height - _FOOT / 2
        self._text(_MARGIN, level, "Synthesized slices are estimates. For research use only.", _INK, _NORMAL)
        self._text(WIDTH - _MARGIN, level, foot, _SOFT, _NORMAL, "right")

    @property
    def _everything(self) -> Box:
        return 0.0, 0.0, *self.field

    def _image(self, column: int, top: float, height: float, panel: Panel, box: Box, style: dict[str, Any]) -> Axes:
        """Draw an image in mm around the center of the field of view, cropped to the box."""
        axes = self.figure.add_axes(self._axes_box(column, top, height), facecolor="black")
        left, above = ((whole - own) / 2 for whole, own in zip(self.field, panel.size, strict=True))
        extent = (left, left + panel.size[0], above + panel.size[1], above)
        axes.imshow(panel.image, extent=extent, **style)
        axes.set(xticks=[], yticks=[], xlim=(box[0], box[2]), ylim=(box[3], box[1]))
        axes.spines[:].set_visible(False)
        return axes

    def _heading(self, column: int, top: float, title: str, note: str) -> None:
        """Draw a title above `top`, and a note right-aligned on the same line."""
        level = top - _TITLE / 2
        self._text(self._left(column), level, title, _INK, _LARGE)
        self._text(self._left(column) + self.panel, level, note, _ACCENT, _LARGE, "right")

    def _text(self, x: float, y: float, text: str, color: str, points: float, side: str = "left") -> None:
        self.figure.text(x / WIDTH, 1 - y / self.height, text, color=color, fontsize=points, ha=side, va="center")

    def _left(self, column: int) -> float:
        return _MARGIN + column * (self.panel + _GAP)

    def _axes_box(self, column: int, top: float, height: float) -> tuple[float, float, float, float]:
        """Convert pixels from the upper left corner to matplotlib's fractions from the lower left corner."""
        bottom = 1 - (top + height) / self.height
        return self._left(column) / WIDTH, bottom, self.panel / WIDTH, height / self.height


def _figure_type() -> type[Figure]:
    """Import matplotlib's Figure, which needs no window."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        message = "Pictures need matplotlib, which is not installed: install it (pip install matplotlib) or leave the"
        raise SynthesisError("bad-option", f"{message} picture out.") from error
    return Figure
