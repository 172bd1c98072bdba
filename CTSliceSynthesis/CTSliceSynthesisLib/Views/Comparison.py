"""Compares two volumes in Slicer's views and restores the views afterwards.

Each change of the comparison starts from the original state: node states are saved before they are changed, and temporary
nodes are removed at the end. Does nothing without a main window.
"""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..Scene import Origin, VolumeNodes
from ..Scene.SavedNodeStates import COMPOSITE, INTERPOLATION, SLAB, WINDOW, SavedNodeStates
from . import Difference, ErrorOverlays, LinkedViews, Rendering, SavedViews
from .Layouts import OF_THE_WINDOW as LAYOUTS

SIDE_BY_SIDE, IN_TURN, DIFFERENCE, RENDERING = VIEWS = ("side by side", "in turn", "difference", "rendering")
NO_OVERLAY = "none"
OVERLAYS = (NO_OVERLAY, Origin.EXPECTED_ERROR, Origin.DISAGREEMENT)
FIRST, SECOND = "Red", "Yellow"
BELOW_RENDERINGS = ("Red", "Green", "Yellow")
"""Slice views in the layout with two 3D views: before, after, and after in the axial plane."""
DIFFERENCE_WINDOW = 400  # HU, around 0


@dataclass(frozen=True)
class Choices:
    """Options of a comparison.

    Attributes:
        view: one of VIEWS.
        showsBefore: which of the two is shown, for IN_TURN.
        overlay: one of OVERLAYS, drawn over the result.
        uninterpolated: show voxels as blocks, without interpolation.
        slab: slab thickness of a maximum intensity projection, mm; 0 shows single slices.
    """

    view: str = SIDE_BY_SIDE
    showsBefore: bool = False
    overlay: str = NO_OVERLAY
    uninterpolated: bool = False
    slab: float = 0.0


def problems(before, after, choices: Choices) -> list[str]:
    """Return the reasons why two volumes cannot be compared this way, for the user; empty if there are none."""
    if before is None or after is None:
        return [_("Choose the volumes before and after.")]
    if before is after:
        return [_("Choose two different volumes.")]
    for node in (before, after):
        reasons = VolumeNodes.problems(node)
        if reasons:
            return reasons
    if choices.view == DIFFERENCE and Difference.problem(before, after):
        return [Difference.problem(before, after)]
    if choices.overlay != NO_OVERLAY and Origin.companion(after, choices.overlay) is None:
        return [ErrorOverlays.missing(after, choices.overlay)]
    return []


class Comparison(VTKObservationMixin):
    """The current comparison.

    Attributes:
        before, after: the volumes; None if there is no comparison.
        choices: display options.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = self.after = None
        self.choices = Choices()
        self.onLeft = lambda: None
        self._memory, self._places, self._made = SavedNodeStates(), SavedNodeStates(), []
        self._views, self._captioned = LinkedViews.LinkedViews(), []
        self._turnedFor = None

    @property
    def isShown(self) -> bool:
        return self.before is not None

    def show(self, before, after, choices: Choices | None = None) -> None:
        """Show two volumes that have no `problems`, or change how they are shown.

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
                self._begin()
            self.before, self.after, self.choices = before, after, choices or Choices()
            if self.choices.view == RENDERING:
                self._render(manager)
            else:
                self._showSlices(manager)
            self._shareWindow()
        SavedViews.keep(LAYOUTS.before(self), [self._memory, self._places])

    def leave(self) -> None:
        """Restore all changed state and remove all temporary nodes."""
        if not self.isShown:
            return
        self.before = self.after = self._turnedFor = None
        self.removeObservers()
        self._views.release()
        with slicer.util.RenderBlocker():
            LAYOUTS.giveBack(self)
            self._undress()
            self._places.putBack()
        SavedViews.forget()
        self.onLeft()

    def _begin(self) -> None:
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
        """Restore the original state, except for layout, position in the patient, and window/level."""
        self._memory.putBack()
        for widget in self._captioned:
            Rendering.caption(widget, "")
        self._captioned.clear()
        for node in reversed(self._made):
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self._made.clear()

    def _showSlices(self, manager) -> None:
        layouts = slicer.vtkMRMLLayoutNode
        alone = self.choices.view == IN_TURN
        LAYOUTS.show(self, layouts.SlicerLayoutOneUpRedSliceView if alone else layouts.SlicerLayoutSideBySideView)
        shown = self._volumes()
        widgets = self._sliceWidgets(manager)
        overlay = None if self.choices.overlay == NO_OVERLAY else self._doubt()
        for widget, node in zip(widgets, shown, strict=True):
            self._fill(widget, node, overlay if node is self.after else None)
        self._move(widgets, ErrorOverlays.MARGIN if overlay is not None else 0.0)

    def _move(self, widgets, margin: float = 0.0) -> None:
        """Link the views; for newly shown volumes, turn them to a plane that cuts across the slices."""
        for widget in widgets:
            self._places.notePlane(widget.mrmlSliceNode())
        self._views.follow(widgets, margin)
        if self._turnedFor != (self.before, self.after):
            self._turnedFor = self.before, self.after
            self._views.turn(VolumeNodes.gridOf(self.before))
        for widget in widgets:
            LinkedViews.link(widget.mrmlSliceCompositeNode())

    def _shareWindow(self) -> None:
        """Share window/level between both volumes."""
        displays = [node.GetDisplayNode() for node in (self.before, self.after)]
        for display in displays:
            self._places.note(display, WINDOW)
        self._views.share(displays)

    def _sliceWidgets(self, manager) -> list:
        """Return the slice widgets in use, from left to right."""
        names = (FIRST,) if self.choices.view == IN_TURN else (FIRST, SECOND)
        return [manager.sliceWidget(name) for name in names]

    def _volumes(self) -> list:
        """Return the volumes of the views, from left to right."""
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

    def _fill(self, widget, node, overlay=None) -> None:
        """Show a volume in a slice view, with an optional overlay (label map)."""
        composite, sliceNode, display = widget.mrmlSliceCompositeNode(), widget.mrmlSliceNode(), node.GetDisplayNode()
        self._memory.note(composite, COMPOSITE)
        composite.SetLinkedControl(False)
        composite.SetBackgroundVolumeID(node.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetForegroundOpacity(0)
        composite.SetLabelVolumeID(overlay.GetID() if overlay is not None else None)
        composite.SetLabelOpacity(1)
        self._memory.note(sliceNode, SLAB)
        sliceNode.SetUseLabelOutline(False)
        sliceNode.SetSlabReconstructionEnabled(self.choices.slab > 0)
        if self.choices.slab > 0:
            sliceNode.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
            sliceNode.SetSlabReconstructionThickness(self.choices.slab)
        if self.choices.uninterpolated:
            self._memory.note(display, INTERPOLATION)
            display.SetInterpolate(False)
        if overlay is not None:
            self._made.append(ErrorOverlays.legend(overlay, self.choices.overlay, sliceNode))

    def _doubt(self):
        """Create the overlay volume with its colors."""
        nodes = ErrorOverlays.make(Origin.companion(self.after, self.choices.overlay))
        self._made += nodes
        return nodes[-1]

    def _render(self, manager) -> None:
        """Show both volumes as 3D renderings, with slice views below them."""
        LAYOUTS.show(self, slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView)
        names = (_("Before: {name}"), _("After: {name}"))
        for index, (node, name) in enumerate(zip((self.before, self.after), names, strict=True)):
            widget = manager.threeDWidget(index)
            self._made += Rendering.show(node, widget, self._memory)
            Rendering.caption(widget, name.format(name=node.GetName()))
            self._captioned.append(widget)
        widgets = [manager.sliceWidget(name) for name in BELOW_RENDERINGS]
        for widget, node in zip(widgets, (self.before, self.after, self.after), strict=True):
            self._fill(widget, node)
        self._places.notePlane(widgets[2].mrmlSliceNode())
        widgets[2].mrmlSliceNode().SetOrientation("Axial")
        widgets[2].sliceLogic().FitSliceToBackground()
        self._move(widgets[:2])
