"""Stand-ins for the layout manager and the widgets of views; what they show comes from Slicer's real logics and managers."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

NAMES = ("Red", "Green", "Yellow")
BAR = 5  # pixels, of the view's colour above it
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class View:
    """What a view draws into: ctkVTKAbstractView's corner annotation, and a window that nobody sees."""

    def __init__(self, slicer: types.ModuleType, factory: Any, viewNode: Any) -> None:
        self._annotation, self._renderer = vtk.vtkCornerAnnotation(), vtk.vtkRenderer()
        self._annotation.SetMaximumFontSize(15)
        self._renderer.AddViewProp(self._annotation)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.AddRenderer(self._renderer)
        self._window.SetInteractor(vtk.vtkGenericRenderWindowInteractor())  # the managers ask for one
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
        """Of the harness: (height, width, 3) uint8, top row first."""
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

    def picture(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8: what the view shows at this size, top row first."""
        self._logic.ResizeSliceNode(width, height)
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
        """(height, width, 3) uint8: what the view shows at this size, top row first."""
        return self.threeDView().pixels(width, height)


class PlotWidget:
    """One plot view; it is not drawn."""

    def __init__(self, slicer: types.ModuleType) -> None:
        node = slicer.vtkMRMLPlotViewNode()
        node.SetSingletonTag("PlotView1")
        self._node = slicer.mrmlScene.AddNode(node)

    def mrmlPlotViewNode(self) -> Any:
        return self._node


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
            node.SlicerLayoutDual3DView: ("1", "2"),
            node.SlicerLayoutFourUpPlotView: NAMES,
        }
        self._register()
        self._widgets = {name: SliceWidget(slicer, name) for name in NAMES}
        self._plots: list[PlotWidget] = []  # made with the first layout that has one
        self._threeD = [ThreeDWidget(slicer, name) for name in ("1", "2")]
        slicer.app.applicationLogic().SetSliceLogics(self.mrmlSliceLogics())

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):  # by signature, as PythonQt does
            return lambda signal, slot: getattr({"layoutChanged(int)": self.layoutChanged}[signal], name)(slot)
        return super().__getattribute__(name)

    def _register(self) -> None:
        """The displayable managers that the application registers; those whose pictures are looked at."""
        slicer = self._slicer
        slices, spaces = (
            getattr(slicer, f"vtkMRML{kind}ViewDisplayableManagerFactory").GetInstance() for kind in ("Slice", "ThreeD")
        )
        for factory, managers in (
            (slices, ("vtkMRMLColorLegendDisplayableManager",)),
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
        if layout == self._slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView and not self._plots:
            self._plots.append(PlotWidget(self._slicer))
        self.layoutChanged.emit(layout)

    def shownNames(self) -> tuple[str, ...]:
        """The views that the layout shows (of the harness, not of Slicer)."""
        return self._shown[self._layout]

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
            self._draw(painter, name, QtCore.QRect(index * width, BAR, width - 2, self.height() - BAR))
        painter.end()

    def _draw(self, painter: QtGui.QPainter, name: str, place: QtCore.QRect) -> None:
        widget = self.manager.sliceWidget(name) or self.manager.threeDWidget(int(name) - 1)
        pixels = widget.picture(place.width(), place.height())
        image = QtGui.QImage(
            pixels.data, place.width(), place.height(), 3 * place.width(), QtGui.QImage.Format.Format_RGB888
        )
        painter.drawImage(place.topLeft(), image)
        if name not in NAMES:
            return
        colour = {"Red": "#f34a33", "Green": "#6fb04e", "Yellow": "#edd54c"}[name]
        painter.fillRect(place.left(), 0, place.width(), BAR, QtGui.QColor(colour))
        volume = widget.sliceLogic().GetNthLayerVolumeNode(0)
        painter.setPen(QtCore.Qt.GlobalColor.white)
        text = widget.mrmlSliceNode().GetOrientation() + (f"\nB: {volume.GetName()}" if volume else "")
        painter.drawText(
            place.adjusted(8, 8, -8, -8), QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignBottom, text
        )
