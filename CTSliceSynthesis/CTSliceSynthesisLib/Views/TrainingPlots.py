"""Shows training loss and validation gain in a Slicer plot; the nodes are never saved."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk
from slicer.i18n import tr as _

from .Layouts import OF_THE_WINDOW as LAYOUTS

LOSS, GAIN = KINDS = ("loss", "gain")
COLOURS = {LOSS: (0.85, 0.37, 0.01), GAIN: (0.1, 0.45, 0.7)}
LEAST_POINTS = 2  # fewer do not form a line


def values(points: Sequence[dict], kind: str) -> list[tuple[float, float]]:
    """Return the known (step, value) pairs: the total loss as a fraction of the first, so that both curves fit into one
    chart, or the best gain in dB over cubic on the held-out scans."""
    pairs = [
        (point.get("step"), (point.get("losses") or {}).get("loss_total") if kind == LOSS else point.get("gain_db"))
        for point in points
    ]
    known = [(step, value) for step, value in pairs if step is not None and value is not None]
    if kind == GAIN:
        return known
    first = known[0][1] if known else 0.0
    return [(step, value / first) for step, value in known] if first > 0 else []


def title(kind: str) -> str:
    return _("Loss (share of the first)") if kind == LOSS else _("Gain over cubic on held-out scans (dB)")


class TrainingPlots:
    """Shows the curves in a plot view and restores the layout. Nodes are kept by id, since closing the scene removes them."""

    def __init__(self) -> None:
        self.isShown = False
        self._ids: dict[tuple[str, str], str] = {}

    def show(self, points: Sequence[dict]) -> None:
        """Show the curves in the variant of the current layout with a plot; without a main window, only update the nodes."""
        self.isShown = True
        chart = self._draw(points)
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        LAYOUTS.show(self, slicer.modules.plots.logic().GetLayoutWithPlot(manager.layout))
        manager.plotWidget(0).mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())

    def update(self, points: Sequence[dict]) -> None:
        """Draw new points if the curves are shown; other views are left alone."""
        if self.isShown:
            self._draw(points)

    def hide(self) -> None:
        """Remove the curves and restore the previous layout, unless the user has chosen another."""
        self.isShown = False
        for identity in self._ids.values():
            node = slicer.mrmlScene.GetNodeByID(identity)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._ids.clear()
        LAYOUTS.giveBack(self)

    def _draw(self, points: Sequence[dict]):
        """Draw these points and return the chart."""
        chart = self._node("vtkMRMLPlotChartNode", "")
        chart.SetTitle(_("Training"))
        chart.SetXAxisTitle(_("step"))
        chart.SetYAxisTitle("")
        chart.SetLegendVisibility(True)
        for kind in KINDS:
            pairs = values(points, kind)
            series = self._node("vtkMRMLPlotSeriesNode", kind)
            self._fill(series, kind, pairs)
            isDrawn, isLine = chart.HasPlotSeriesNodeID(series.GetID()), len(pairs) >= LEAST_POINTS
            if isDrawn and not isLine:
                chart.RemovePlotSeriesNodeID(series.GetID())
            elif isLine and not isDrawn:
                chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.Modified()  # otherwise a view may stay empty
        return chart

    def _fill(self, series, kind: str, pairs: Sequence[tuple[float, float]]) -> None:
        """Fill the table and series of one curve."""
        table, columns = self._node("vtkMRMLTableNode", kind), vtk.vtkTable()
        for name, place in ((_("step"), 0), (title(kind), 1)):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            for pair in pairs:
                column.InsertNextValue(pair[place])
            columns.AddColumn(column)
        table.SetAndObserveTable(columns)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("step"))
        series.SetYColumnName(title(kind))
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*COLOURS[kind])

    def _node(self, className: str, kind: str):
        """Return the node of a class and a curve, creating it if it does not exist (any more)."""
        node = slicer.mrmlScene.GetNodeByID(self._ids.get((className, kind)) or "")
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass(className, title(kind) if kind else _("Training"))
            node.SetSaveWithScene(False)
            self._ids[className, kind] = node.GetID()
        return node
