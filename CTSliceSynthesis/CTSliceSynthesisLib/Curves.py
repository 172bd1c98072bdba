"""The curves of a training in Slicer's own plots: a table, a series and a chart for each figure. They are never saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import slicer
import vtk
from slicer.i18n import tr as _

LOSS, GAIN = KINDS = ("loss", "gain")


def values(points: Sequence[dict], kind: str) -> list[tuple[float, float]]:
    """(step, value) where there is one: the total loss, or the best gain in dB over cubic on the held-out scans."""
    found = [
        (point.get("step"), (point.get("losses") or {}).get("loss_total") if kind == LOSS else point.get("gain_db"))
        for point in points
    ]
    return [(step, value) for step, value in found if step is not None and value is not None]


@dataclass
class Curve:
    """The nodes of one figure, by id: closing the scene takes them away."""

    kind: str
    ids: dict[str, str] = field(default_factory=dict)

    def node(self, className: str):
        """The node of a class, made where it is not there (any more)."""
        node = slicer.mrmlScene.GetNodeByID(self.ids.get(className) or "")
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass(className, title(self.kind))
            node.SetSaveWithScene(False)
            self.ids[className] = node.GetID()
        return node

    def show(self, points: Sequence[dict]):
        """Draw these points; returns the chart."""
        pairs, table = values(points, self.kind), self.node("vtkMRMLTableNode")
        columns = vtk.vtkTable()
        for name, place in ((_("step"), 0), (title(self.kind), 1)):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            for pair in pairs:
                column.InsertNextValue(pair[place])
            columns.AddColumn(column)
        table.SetAndObserveTable(columns)
        series, chart = self.node("vtkMRMLPlotSeriesNode"), self.node("vtkMRMLPlotChartNode")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("step"))
        series.SetYColumnName(title(self.kind))
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        if not chart.HasPlotSeriesNodeID(series.GetID()):
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
            chart.SetTitle(title(self.kind))
            chart.SetXAxisTitle(_("step"))
        chart.Modified()  # else a view may stay empty
        return chart

    def remove(self) -> None:
        for identity in self.ids.values():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self.ids.clear()


def title(kind: str) -> str:
    return _("Loss") if kind == LOSS else _("Gain over cubic on held-out scans (dB)")


class Curves:
    """Shows one curve in a plot view, and puts the layout back."""

    def __init__(self) -> None:
        self._curve: Curve | None = None
        self._layout: int | None = None

    @property
    def kind(self) -> str | None:
        """Which curve is shown; None for none."""
        return self._curve.kind if self._curve else None

    def show(self, kind: str, points: Sequence[dict]) -> None:
        """Show a curve in the layout that is most like the present one and has a plot; only draw it without a main window."""
        if self.kind != kind:
            self._remove()
            self._curve = Curve(kind)
        chart = self._curve.show(points)
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        wanted = slicer.modules.plots.logic().GetLayoutWithPlot(manager.layout)
        if wanted != manager.layout:
            self._layout = manager.layout
            manager.setLayout(wanted)
        manager.plotWidget(0).mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())

    def update(self, points: Sequence[dict]) -> None:
        """Draw new points, where a curve is shown; whatever else the user looks at stays."""
        if self._curve:
            self._curve.show(points)

    def hide(self) -> None:
        """Take the curve away, and put back the layout that was there before it, unless the user has chosen another."""
        self._remove()
        manager = slicer.app.layoutManager()
        before, self._layout = self._layout, None
        if manager is None or before is None:
            return
        if manager.layout == slicer.modules.plots.logic().GetLayoutWithPlot(before):
            manager.setLayout(before)

    def _remove(self) -> None:
        if self._curve:
            self._curve.remove()
        self._curve = None
