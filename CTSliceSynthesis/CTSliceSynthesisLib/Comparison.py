"""Before and after in the views of Slicer, until it is left: then all is as it was.

One view layout after another, always from the state that was found: what is changed is remembered first, and what is made
for the comparison alone goes away with it. Nothing happens without a main window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import qt
import slicer
import vtk
from CTSliceSynthesisEngine.volume.grid import Grid
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from . import Difference, Doubt, Origin, Rendering, VolumeNodes
from .Remembered import COMPOSITE, DISPLAY, SLAB, Remembered

SIDE_BY_SIDE, IN_TURN, DIFFERENCE, RENDERING = VIEWS = ("side by side", "in turn", "difference", "rendering")
NO_OVERLAY = "none"
OVERLAYS = (NO_OVERLAY, Origin.EXPECTED_ERROR, Origin.DISAGREEMENT)
FIRST, SECOND = "Red", "Yellow"
DIFFERENCE_WINDOW = 400  # HU, around 0


@dataclass(frozen=True)
class Choices:
    """How two volumes are compared.

    Attributes:
        view: one of VIEWS.
        showsBefore: which of the two, in turn.
        overlay: one of OVERLAYS: drawn over the result.
        uninterpolated: voxels as they are, as blocks.
        slab: thickness of the slab whose maximum is shown, mm; 0 shows single slices.
    """

    view: str = SIDE_BY_SIDE
    showsBefore: bool = False
    overlay: str = NO_OVERLAY
    uninterpolated: bool = False
    slab: float = 0.0


def problems(before, after, choices: Choices) -> list[str]:
    """Why two volumes cannot be compared so, in the user's words; empty when they can."""
    if before is None or after is None:
        return [_("Choose the volumes before and after.")]
    if before is after:
        return [_("Choose two different volumes.")]
    for node in (before, after):
        found = VolumeNodes.problems(node)
        if found:
            return found
    if choices.view == DIFFERENCE and Difference.problem(before, after):
        return [Difference.problem(before, after)]
    if choices.overlay != NO_OVERLAY and Origin.companion(after, choices.overlay) is None:
        return [Doubt.missing(after, choices.overlay)]
    return []


class Comparison(VTKObservationMixin):
    """What is shown now.

    Attributes:
        before, after: the volumes; None while nothing is compared.
        choices: how they are shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = self.after = None
        self.choices = Choices()
        self.onLeft = lambda: None
        self._memory, self._places, self._made = Remembered(), Remembered(), []
        self._layout = self._shownLayout = None
        self._turnedFor = None

    @property
    def isShown(self) -> bool:
        return self.before is not None

    def show(self, before, after, choices: Choices | None = None) -> None:
        """Show two volumes that have no `problems`, or show them otherwise than before.

        Args:
            before, after: volumes.
            choices: None shows them side by side.
        """
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        for node in (before, after, *Origin.companions(after)):
            if node.GetDisplayNode() is None:  # loaded without being shown
                node.CreateDefaultDisplayNodes()
        with slicer.util.RenderBlocker():
            if self.isShown:
                self._undress()
            else:
                self._begin(manager)
            self.before, self.after, self.choices = before, after, choices or Choices()
            if self.choices.view == RENDERING:
                self._render(manager)
            else:
                self._showSlices(manager)

    def leave(self) -> None:
        """Put back all that was changed, and remove all that was made."""
        if not self.isShown:
            return
        self.before = self.after = self._turnedFor = None
        self.removeObservers()
        manager = slicer.app.layoutManager()
        with slicer.util.RenderBlocker():
            if (
                manager is not None and manager.layout == self._shownLayout
            ):  # else the user has chosen another one since
                manager.setLayout(self._layout)
            self._undress()
            self._places.putBack()
        self.onLeft()

    def _begin(self, manager) -> None:
        self._layout = manager.layout
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._onNodeRemoved)

    def _onSceneClose(self, caller, event) -> None:
        self.leave()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, caller, event, node) -> None:
        if node in (self.before, self.after):
            self.leave()

    def _undress(self) -> None:
        """Back to what was found, but for the layout and the place in the patient."""
        self._memory.putBack()
        for node in reversed(self._made):
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self._made.clear()

    def _arrange(self, manager, layout: int) -> None:
        self._shownLayout = layout
        manager.setLayout(layout)

    def _showSlices(self, manager) -> None:
        layouts = slicer.vtkMRMLLayoutNode
        alone = self.choices.view == IN_TURN
        self._arrange(manager, layouts.SlicerLayoutOneUpRedSliceView if alone else layouts.SlicerLayoutSideBySideView)
        shown = self._volumes()
        widgets = self._sliceWidgets(manager)
        overlay = None if self.choices.overlay == NO_OVERLAY else self._doubt()
        for widget, node in zip(widgets, shown, strict=True):
            self._places.notePlane(widget.mrmlSliceNode())
            self._fill(widget, node, overlay if node is self.after else None)
        if self._turnedFor != (self.before, self.after):
            self._turnedFor = self.before, self.after
            turn(widgets[0], VolumeNodes.gridOf(self.before))
            qt.QTimer.singleShot(0, self._fit)  # the views take their new size when the application is idle
        place(widgets)
        for widget in widgets:
            link(widget.mrmlSliceCompositeNode())

    def _fit(self) -> None:
        """Fill the views."""
        manager = slicer.app.layoutManager()
        if not self.isShown or manager is None or self.choices.view == RENDERING:
            return
        widgets = self._sliceWidgets(manager)
        widgets[0].sliceLogic().FitSliceToBackground()
        place(widgets)

    def _sliceWidgets(self, manager) -> list:
        """The slice views that are used, from left to right."""
        names = (FIRST,) if self.choices.view == IN_TURN else (FIRST, SECOND)
        return [manager.sliceWidget(name) for name in names]

    def _volumes(self) -> list:
        """The volumes of the views, from left to right."""
        if self.choices.view == IN_TURN:
            return [self.before if self.choices.showsBefore else self.after]
        if self.choices.view == SIDE_BY_SIDE:
            return [self.before, self.after]
        name = _("{after} minus {before}").format(after=self.after.GetName(), before=self.before.GetName())
        difference = Difference.make(self.before, self.after, slicer.mrmlScene.GenerateUniqueName(name))
        difference.GetDisplayNode().SetAutoWindowLevel(False)
        difference.GetDisplayNode().SetWindowLevel(DIFFERENCE_WINDOW, 0)
        self._made += [difference.GetDisplayNode(), difference]
        return [self.after, difference]

    def _fill(self, widget, node, overlay) -> None:
        """Show a volume, and another one over it, in a slice view."""
        composite, sliceNode, display = widget.mrmlSliceCompositeNode(), widget.mrmlSliceNode(), node.GetDisplayNode()
        self._memory.note(composite, COMPOSITE)
        composite.SetLinkedControl(False)
        composite.SetBackgroundVolumeID(node.GetID())
        composite.SetForegroundVolumeID(overlay.GetID() if overlay is not None else None)
        composite.SetForegroundOpacity(Doubt.OPACITY if overlay is not None else 0)
        composite.SetLabelVolumeID(None)
        self._memory.note(sliceNode, SLAB)
        sliceNode.SetSlabReconstructionEnabled(self.choices.slab > 0)
        if self.choices.slab > 0:
            sliceNode.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
            sliceNode.SetSlabReconstructionThickness(self.choices.slab)
        if self.choices.uninterpolated:
            self._memory.note(display, DISPLAY)
            display.SetInterpolate(False)
        if overlay is not None:
            self._made.append(Doubt.legend(overlay, self.choices.overlay, sliceNode))

    def _doubt(self):
        """The volume of the overlay, in its colours."""
        node = Origin.companion(self.after, self.choices.overlay)
        self._memory.note(node.GetDisplayNode(), DISPLAY)
        self._made.append(Doubt.colour(node))
        if self.choices.uninterpolated:
            node.GetDisplayNode().SetInterpolate(False)
        return node

    def _render(self, manager) -> None:
        self._arrange(manager, slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
        for index, node in enumerate((self.before, self.after)):
            self._made += Rendering.show(node, manager.threeDWidget(index), self._memory)


def turn(widget, grid: Grid) -> None:
    """Show the whole background volume in a plane that cuts through its slices, so that they can be counted."""
    stacked = int(np.abs(grid.directions[:, grid.slice_axis]).argmax())
    widget.mrmlSliceNode().SetOrientation("Sagittal" if stacked == 1 else "Coronal")
    widget.sliceLogic().FitSliceToBackground()


def place(widgets) -> None:
    """Let all slice views show the first one's plane of the patient, at its size."""
    model, *followers = (widget.mrmlSliceNode() for widget in widgets)
    for follower in followers:
        follower.SetFieldOfView(*model.GetFieldOfView())
        follower.GetSliceToRAS().DeepCopy(model.GetSliceToRAS())
        follower.UpdateMatrices()


def link(composite) -> None:
    """Let the views move together, also while they move."""
    composite.SetHotLinkedControl(True)
    composite.SetLinkedControl(True)
