"""Stand-ins for the layout manager and the slice widgets; what they show comes from Slicer's real slice logic."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

NAMES = ("Red", "Green", "Yellow")
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class SliceWidget:
    """One slice view."""

    def __init__(self, slicer: types.ModuleType, name: str) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        self._logic.AddSliceNode(name)
        self._logic.GetSliceNode().SetOrientation(ORIENTATIONS[name])

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceLogic(self) -> Any:
        return self._logic

    def picture(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8: what the view shows at this size, top row first."""
        self._logic.ResizeSliceNode(width, height)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        connection = self._logic.GetImageDataConnection()
        if connection is None:
            return np.zeros((height, width, 3), np.uint8)
        mapper.SetInputConnection(connection)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        renderer = vtk.vtkRenderer()
        renderer.AddActor2D(actor)
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetSize(width, height)
        window.AddRenderer(renderer)
        window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(pixels.reshape(height, width, -1)[::-1, :, :3])


class LayoutManager(QtCore.QObject):
    """Knows which views a layout shows."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, slicer: types.ModuleType) -> None:
        super().__init__()
        node = slicer.vtkMRMLLayoutNode
        self._slicer, self._layout = slicer, node.SlicerLayoutFourUpView
        self._shown = {
            node.SlicerLayoutFourUpView: NAMES,
            node.SlicerLayoutSideBySideView: ("Red", "Yellow"),
            node.SlicerLayoutOneUpRedSliceView: ("Red",),
        }
        self._widgets = {name: SliceWidget(slicer, name) for name in NAMES}

    @property
    def layout(self) -> int:
        return self._layout

    def setLayout(self, layout: int) -> None:
        if layout not in self._shown:
            raise ValueError(f"this harness has no layout {layout}")
        self._layout = layout
        self.layoutChanged.emit(layout)

    def shownNames(self) -> tuple[str, ...]:
        """The slice views that the layout shows (of the harness, not of Slicer)."""
        return self._shown[self._layout]

    def sliceViewNames(self) -> tuple[str, ...]:
        return NAMES

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._widgets.get(name)

    def mrmlSliceLogics(self) -> Any:
        logics = vtk.vtkCollection()
        for widget in self._widgets.values():
            logics.AddItem(widget.sliceLogic())
        return logics

    def resetSliceViews(self) -> None:
        for widget in self._widgets.values():
            widget.sliceLogic().FitSliceToBackground()


class ViewArea(QtWidgets.QWidget):
    """Draws the views of the layout side by side, with the names of their volumes."""

    def __init__(self, manager: LayoutManager) -> None:
        super().__init__()
        self.manager = manager
        manager.layoutChanged.connect(self.update)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtCore.Qt.GlobalColor.black)
        names = self.manager.shownNames()
        width = self.width() // len(names)
        for index, name in enumerate(names):
            self._draw(painter, name, QtCore.QRect(index * width, 0, width - 2, self.height()))
        painter.end()

    def _draw(self, painter: QtGui.QPainter, name: str, place: QtCore.QRect) -> None:
        widget = self.manager.sliceWidget(name)
        pixels = widget.picture(place.width(), place.height())
        image = QtGui.QImage(
            pixels.data, place.width(), place.height(), 3 * place.width(), QtGui.QImage.Format.Format_RGB888
        )
        painter.drawImage(place.topLeft(), image)
        colour = {"Red": "#f34a33", "Green": "#6fb04e", "Yellow": "#edd54c"}[name]
        painter.fillRect(place.left(), 0, place.width(), 5, QtGui.QColor(colour))
        volume = widget.sliceLogic().GetNthLayerVolumeNode(0)
        painter.setPen(QtCore.Qt.GlobalColor.white)
        text = widget.mrmlSliceNode().GetOrientation() + (f"\nB: {volume.GetName()}" if volume else "")
        painter.drawText(
            place.adjusted(8, 8, -8, -8), QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignBottom, text
        )
