"""Keeps slice views on the same plane and scale, and two volumes at the same window/level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import qt
import slicer
import vtk
from CTSliceSynthesisEngine.volume.grid import Grid
from slicer.util import VTKObservationMixin

UNTOUCHED = 1e-3  # tolerance in mm for a view that the user has not moved since it was fitted


class LinkedViews(VTKObservationMixin):
    """Links slice views during a comparison.

    Views get their final size late, when the window has been laid out, and then keep their mm per pixel along the height.
    So every resize of any view is handled: the first view is fitted again unless the user has zoomed since, and the others
    take its scale.
    """

    def __init__(self) -> None:
        super().__init__()
        self._widgets: list = []
        self._sizes: dict[str, tuple[int, int]] = {}
        self._displays: dict[str, tuple[float, float]] = {}
        self._margin, self._filled, self._isAsked = 0.0, np.zeros(3), False

    def follow(self, widgets: Sequence, margin: float = 0.0) -> None:
        """Link these slice widgets, and no others.

        Args:
            widgets: the first one leads.
            margin: fraction of the view's height to leave free above and below the volume when fitting.
        """
        self.removeObservers(self._onView)
        isFilled, self._widgets, self._margin = self._isFilled(), list(widgets), margin
        for node in self._nodes():
            self._sizes[node.GetID()] = node.GetDimensions()[:2]
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onView)
        if isFilled:
            self.fill()
        else:
            self._match()

    def turn(self, grid: Grid) -> None:
        """Show the whole background volume in a plane that cuts across its slices, so that they can be counted."""
        stacked = int(np.abs(grid.directions[:, grid.slice_axis]).argmax())
        self._nodes()[0].SetOrientation("Sagittal" if stacked == 1 else "Coronal")
        self._widgets[0].sliceLogic().FitSliceToBackground()
        self.fill()

    def fill(self) -> None:
        """Fit the views to the volume of the first one, keeping the slice offset."""
        leader = self._nodes()[0]
        offset = leader.GetSliceOffset()
        self._widgets[0].sliceLogic().FitSliceToBackground()
        leader.SetSliceOffset(offset)
        wide, high, deep = leader.GetFieldOfView()
        volumeHeight = self._shownHeight()
        larger = max(1.0, volumeHeight / (high * (1 - 2 * self._margin))) if volumeHeight else 1.0
        leader.SetFieldOfView(wide * larger, high * larger, deep)
        leader.UpdateMatrices()
        self._filled = self._seen()
        self._match()

    def share(self, displays: Sequence) -> None:
        """Keep the window/level of these display nodes equal from now on; an empty sequence unlinks all."""
        self.removeObservers(self._onDisplay)
        self._displays = {node.GetID(): windowOf(node) for node in displays}
        for node in displays:
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onDisplay)

    def release(self) -> None:
        """Unlink everything."""
        self.removeObservers()
        self._widgets, self._filled = [], np.zeros(3)
        self._sizes.clear()
        self._displays.clear()

    def _nodes(self) -> list:
        return [widget.mrmlSliceNode() for widget in self._widgets]

    def _isFilled(self) -> bool:
        """True if the user has neither zoomed nor panned since the views were fitted."""
        return bool(self._widgets) and bool(np.abs(self._seen() - self._filled).max() < UNTOUCHED)

    def _seen(self) -> np.ndarray:
        """Return the height of the first view and its center within its plane, mm."""
        node = self._nodes()[0]
        plane = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        return np.array([node.GetFieldOfView()[1], *(plane[:3, :2].T @ plane[:3, 3])])

    def _shownHeight(self) -> float:
        """Return the height of the volume in the first view, mm."""
        bounds = [0.0] * 6
        self._widgets[0].sliceLogic().GetBackgroundSliceBounds(bounds)
        return bounds[3] - bounds[2]

    def _onView(self, node, event=None) -> None:
        size = node.GetDimensions()[:2]
        if size == self._sizes[node.GetID()]:
            return
        self._sizes[node.GetID()] = size
        if not self._isAsked:
            self._isAsked = True
            qt.QTimer.singleShot(0, self._answer)  # a slice logic ignores changes made while it handles one

    def _answer(self) -> None:
        """Arrange views that were resized."""
        self._isAsked = False
        if not self._widgets:
            return
        if self._isFilled():
            self.fill()
        else:
            self._match()

    def _match(self) -> None:
        """Set the plane and scale (mm per pixel) of the first view in all views."""
        leader, *followers = self._nodes()
        scale = leader.GetFieldOfView()[1] / leader.GetDimensions()[1]
        for node in followers:
            wide, high = node.GetDimensions()[:2]
            node.SetXYZOrigin(*leader.GetXYZOrigin())
            node.SetFieldOfView(wide * scale, high * scale, leader.GetFieldOfView()[2])
            node.GetSliceToRAS().DeepCopy(leader.GetSliceToRAS())
            node.UpdateMatrices()

    def _onDisplay(self, changed, event=None) -> None:
        """Copy a changed window/level to the other volumes."""
        window = windowOf(changed)
        if window == self._displays[changed.GetID()]:
            return
        self._displays = dict.fromkeys(self._displays, window)
        scene = changed.GetScene()
        for node in map(scene.GetNodeByID, self._displays):
            if node is not None and windowOf(node) != window:
                node.SetAutoWindowLevel(False)
                node.SetWindowLevel(*window)


def windowOf(display) -> tuple[float, float]:
    """Return window and level."""
    return display.GetWindow(), display.GetLevel()


def link(composite) -> None:
    """Enable hot-linked control of a view."""
    composite.SetHotLinkedControl(True)
    composite.SetLinkedControl(True)
