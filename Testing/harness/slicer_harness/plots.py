"""Stub of the plot widget: draws the lines of the view's chart with VTK's charts, like Slicer's."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy


class PlotWidget:
    """One plot view. It draws whenever its chart changes, so that VTK gives the same warnings as in Slicer."""

    def __init__(self, slicer: types.ModuleType) -> None:
        node = slicer.vtkMRMLPlotViewNode()
        node.SetSingletonTag("PlotView1")
        self._node = slicer.mrmlScene.AddNode(node)
        self._view = vtk.vtkContextView()
        self._view.GetRenderWindow().SetOffScreenRendering(True)
        self._chart: Any = None
        self._tag = 0
        self._node.AddObserver("ModifiedEvent", self._follow)

    def mrmlPlotViewNode(self) -> Any:
        return self._node

    def _follow(self, caller: Any, event: str) -> None:
        chart = self._node.GetPlotChartNode()
        if chart is self._chart:
            return
        if self._chart is not None:
            self._chart.RemoveObserver(self._tag)
        self._chart = chart
        if chart is not None:
            self._tag = chart.AddObserver("ModifiedEvent", lambda *_: self.picture(300, 200))
            self.picture(300, 200)

    def picture(self, width: int, height: int) -> np.ndarray:
        """Harness only: return the image of the view at this size, (height, width, 3) uint8, top row first."""
        self._view.GetScene().ClearItems()
        if self._chart is not None:
            self._view.GetScene().AddItem(drawing(self._chart))
        window = self._view.GetRenderWindow()
        window.SetSize(width, height)
        window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(pixels.reshape(height, width, -1)[::-1, :, :3])


def drawing(chart: Any) -> Any:
    """Return VTK's chart for a chart node."""
    made = vtk.vtkChartXY()
    made.SetTitle(chart.GetTitle() or "")
    made.SetShowLegend(chart.GetLegendVisibility())
    for place, title in ((vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle()), (vtk.vtkAxis.LEFT, chart.GetYAxisTitle())):
        made.GetAxis(place).SetTitle(title or "")
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        table = series.GetTableNode().GetTable() if series.GetTableNode() else None
        if table is None or table.GetColumnByName(series.GetYColumnName()) is None:
            continue
        line = made.AddPlot(vtk.vtkChart.LINE)
        line.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
        line.SetLabel(series.GetName())
        line.SetColorF(*series.GetColor())
    return made
