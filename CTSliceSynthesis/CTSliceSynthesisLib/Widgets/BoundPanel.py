"""What every panel does: follow the parameter node of the scene."""

from __future__ import annotations

import vtk
from slicer.util import VTKObservationMixin


class BoundPanel(VTKObservationMixin):
    """Shows a parameter node, and again whenever it changes.

    Attributes:
        parameters: the parameter node; None shows none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameters = None

    def bind(self, parameters) -> None:
        """Show this parameter node from now on; None shows none."""
        if self.parameters is not None:
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.parameters = parameters
        if parameters is not None:
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.refresh()

    def putViewsBack(self) -> None:
        """Slicer is going to quit: it must not remember the views that this panel has changed."""

    def cleanup(self) -> None:
        """The panel is never shown again: let go of all that it follows."""
        self.removeObservers()

    def refresh(self, caller=None, event=None) -> None:
        """Show what is."""
        raise NotImplementedError
