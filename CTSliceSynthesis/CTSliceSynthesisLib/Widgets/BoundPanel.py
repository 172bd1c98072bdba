"""Base class of the panels: observes the parameter node of the scene."""

from __future__ import annotations

import vtk
from slicer.util import VTKObservationMixin


class BoundPanel(VTKObservationMixin):
    """Shows a parameter node and refreshes whenever it changes.

    Attributes:
        parameters: the parameter node; None if unbound.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameters = None

    def bind(self, parameters) -> None:
        """Bind to a parameter node; None unbinds."""
        if self.parameters is not None:
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.parameters = parameters
        if parameters is not None:
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.refresh()

    def putViewsBack(self) -> None:
        """Restore views changed by this panel, before Slicer quits and saves its layout."""

    def cleanup(self) -> None:
        """Remove all observers when the panel is destroyed."""
        self.removeObservers()

    def refresh(self, caller=None, event=None) -> None:
        """Update the widgets."""
        raise NotImplementedError
