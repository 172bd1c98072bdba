"""Stubs of the layout manager and the view widgets; the images come from Slicer's real logics and displayable managers."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .plots import PlotWidget

NAMES = ("Red", "Green", "Yellow")
BAR = 5  # pixels, height of the colored bar above a view
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
PLOT = "plot"
LATE = 20
"""Delay in milliseconds until the views of a new layout get their sizes, as with a windowing system."""


class View:
    """Render target of a view: ctkVTKAbstractView's corner annotation, and an off-screen window."""

    def __init__(self, slicer: types.ModuleType, factory: Any, viewNode: Any) -> None:
        self._annotation, self._renderer = vtk.vtkCornerAnnotation(), vtk.vtkRenderer()
        self._annotation.SetMaximumFontSize(15)
        self._renderer.AddViewProp(self._annotation)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.AddRenderer(self._renderer)
        self._window.SetInteractor(vtk.vtkGenericRenderWindowInteractor())  # the displayable managers require one
        self._managers = factory.InstantiateDisplayableManagers(self._renderer)
        self._managers.SetMRMLDisplayableNode(viewNode)

    def cornerAnnotation(self) -> Any:
        return self._annotation

    def scheduleRender(self) -> None: ...

    def renderWindow(self) -> Any:
        return self._window

    def resetFocalPoint(self) -> None:
        self._renderer.ResetCamera()

    def pixels(self, width: int, height: int) -> np.ndarray:
        """Harness only: return the image, (height, width, 3) uint8, top row first."""
        self._window.SetSize(width, height)
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(pixels.reshape(height, width, -1)[::-1, :, :3])


class SliceWidget:
    """One slice view."""

    def __init__(self, slicer: types.ModuleType, name: str) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        self._logic.AddSliceNode(name)
        self._logic.GetSliceNode().SetOrientation(ORIENTATIONS[name])
        self._slicer, self._view, self._image = slicer, None, None

    def sliceView(self) -> View:
        if self._view is None:
            factory = self._slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
            self._view = View(self._slicer, factory, self.mrmlSliceNode())
        return self._view

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceLogic(self) -> Any:
        return self._logic

    def resize(self, width: int, height: int) -> None:
        """Harness only: resize the view; its node follows, as in Slicer's slice controller."""
        if self._logic.GetSliceNode().GetDimensions()[:2] != (width, height):
            self._logic.ResizeSliceNode(width, height)

    def picture(self) -> np.ndarray:
        """Return the image of the view at its current size, (height, width, 3) uint8, top row first."""
        width, height = self._logic.GetSliceNode().GetDimensions()[:2]
        view = self.sliceView()
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if self._image is not None:
            renderer.RemoveViewProp(self._image)
            self._image = None
        connection = self._logic.GetImageDataConnection()
        if connection is not None:
            mapper = vtk.vtkImageMapper()
            mapper.SetColorWindow(255)
            mapper.SetColorLevel(127.5)
            mapper.SetInputConnection(connection)
            self._image = vtk.vtkActor2D()
            self._image.SetMapper(mapper)
            self._image.GetProperty().SetDisplayLocationToBackground()
            renderer.AddViewProp(self._image)
        return view.pixels(width, height)


class ThreeDWidget:
    """One 3D view."""

    def __init__(self, slicer: types.ModuleType, name: str) -> None:
        self._node = slicer.vtkMRMLViewNode()
        self._node.SetSingletonTag(name)
        self._node.SetName(f"View{name}")
        self._node = slicer.mrmlScene.AddNode(self._node)
        self._slicer, self._view = slicer, None

    def mrmlViewNode(self) -> Any:
        return self._node

    def threeDView(self) -> View:
        if self._view is None:
            factory = self._slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
            self._view = View(self._slicer, factory, self._node)
        return self._view

    def picture(self, width: int, height: int) -> np.ndarray:
        """Return the image of the view at this size, (height, width, 3) uint8, top row first."""
        return self.threeDView().pixels(width, height)


class LayoutManager(QtCore.QObject):
    """Layout manager: rows of views per layout, whose sizes are set later, from the event loop."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, slicer: types.ModuleType) -> None:
        super().__init__()
        node = slicer.vtkMRMLLayoutNode
        self._slicer, self._layout, self._area = slicer, node.SlicerLayoutFourUpView, (1000, 600)
        self._shown = {
            node.SlicerLayoutFourUpView: (NAMES,),
            node.SlicerLayoutSideBySideView: (("Red", "Yellow"),),
            node.SlicerLayoutOneUpRedSliceView: (("Red",),),
            node.SlicerLayoutDual3DView: (("1", "2"), NAMES),
            node.SlicerLayoutFourUpPlotView: ((*NAMES, PLOT),),
        }
        self._register()
        self._widgets = {name: SliceWidget(slicer, name) for name in NAMES}
        self._plots: list[PlotWidget] = []  # created with the first layout that has one
        self._threeD = [ThreeDWidget(slicer, name) for name in ("1", "2")]
        slicer.app.applicationLogic().SetSliceLogics(self.mrmlSliceLogics())
        self._late = QtCore.QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(LATE)
        self._late.timeout.connect(self._resizeViews)
        self._resizeViews()

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):  # by signature, as in PythonQt
            return lambda signal, slot: getattr({"layoutChanged(int)": self.layoutChanged}[signal], name)(slot)
        return super().__getattribute__(name)

    def _register(self) -> None:
        """Register the displayable managers whose output is tested."""
        slicer = self._slicer
        slices, spaces = (
            getattr(slicer, f"vtkMRML{kind}ViewDisplayableManagerFactory").GetInstance() for kind in ("Slice", "ThreeD")
        )
        for factory, managers in (
            (slices, ("vtkMRMLColorLegendDisplayableManager", "vtkMRMLMarkupsDisplayableManager")),
            (spaces, ("vtkMRMLCameraDisplayableManager", "vtkMRMLVolumeRenderingDisplayableManager")),
        ):
            factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            for manager in managers:
                if not factory.IsDisplayableManagerRegistered(manager):
                    factory.RegisterDisplayableManager(manager)

    @property
    def layout(self) -> int:
        return self._layout

    def setLayout(self, layout: int) -> None:
        if layout not in self._shown:
            raise ValueError(f"this harness has no layout {layout}")
        self._layout = layout
        if PLOT in self.shownNames() and not self._plots:
            self._plots.append(PlotWidget(self._slicer))
        self._late.start()
        self.layoutChanged.emit(layout)

    def resizeArea(self, width: int, height: int) -> None:
        """Harness only: set the size of the view area."""
        self._area = (width, height)
        self._late.start()

    @property
    def isSettled(self) -> bool:
        """Harness only: True if all visible views have their sizes."""
        return not self._late.isActive()

    def _resizeViews(self) -> None:
        for name, place in self.places().items():
            if name in self._widgets:
                self._widgets[name].resize(place.width(), place.height())

    def places(self) -> dict[str, QtCore.QRect]:
        """Harness only: return the rectangle of each view in the view area, without its bar."""
        rows, (width, height) = self._shown[self._layout], self._area
        found = {}
        for line, names in enumerate(rows):
            wide, high = width // len(names), height // len(rows)
            for index, name in enumerate(names):
                found[name] = QtCore.QRect(index * wide, line * high + BAR, wide - 2, high - BAR)
        return found

    def shownNames(self) -> tuple[str, ...]:
        """Harness only: return the views of the layout."""
        return tuple(name for row in self._shown[self._layout] for name in row)

    def threeDWidget(self, index: int) -> ThreeDWidget | None:
        return self._threeD[index] if index < len(self._threeD) else None

    def plotWidget(self, index: int) -> PlotWidget | None:
        return self._plots[index] if index < len(self._plots) else None

    @property
    def plotViewCount(self) -> int:
        return len(self._plots)

    @property
    def threeDViewCount(self) -> int:
        return len(self._threeD)

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
    """Draws the views of the layout, with the names of their volumes."""

    def __init__(self, manager: LayoutManager) -> None:
        super().__init__()
        self.manager = manager
        manager.layoutChanged.connect(self.update)

    def resizeEvent(self, event: Any) -> None:
        self.manager.resizeArea(self.width(), self.height())

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtCore.Qt.GlobalColor.black)
        for name, place in self.manager.places().items():
            self._draw(painter, name, place)
        painter.end()

    def _draw(self, painter: QtGui.QPainter, name: str, place: QtCore.QRect) -> None:
        if name in NAMES:
            widget = self.manager.sliceWidget(name)
            pixels = widget.picture()
        else:
            widget = self.manager.plotWidget(0) if name == PLOT else self.manager.threeDWidget(int(name) - 1)
            pixels = widget.picture(place.width(), place.height())
        height, width = pixels.shape[:2]
        image = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
        painter.drawImage(place.topLeft(), image)
        if name not in NAMES:
            return
        colour = {"Red": "#f34a33", "Green": "#6fb04e", "Yellow": "#edd54c"}[name]
        painter.fillRect(place.left(), place.top() - BAR, place.width(), BAR, QtGui.QColor(colour))
        volume = widget.sliceLogic().GetNthLayerVolumeNode(0)
        painter.setPen(QtCore.Qt.GlobalColor.white)
        text = widget.mrmlSliceNode().GetOrientation() + (f"\nB: {volume.GetName()}" if volume else "")
        painter.drawText(
            place.adjusted(8, 8, -8, -8), QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignBottom, text
        )
