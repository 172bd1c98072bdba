"""Captures warnings of VTK and MRML, which Slicer shows in its console; tests must not produce any."""

from __future__ import annotations

import vtk

FOR_WANT_OF_SLICER = ("FindTextFiles", "Failed to load presets", "ResolveUnresolvedItems", "ResolveSubjectHierarchy")
"""Messages of slicer-core only: the application has these files, and the subject hierarchy plugins."""


def listen() -> list[str]:
    """Return a list that collects all warnings and errors from now on; they are still printed."""
    heard: list[str] = []
    window = vtk.vtkOutputWindow()

    @vtk.calldata_type(vtk.VTK_STRING)
    def note(caller: object, event: str, text: str) -> None:
        if not any(word in text for word in FOR_WANT_OF_SLICER):
            heard.append(text)

    for event in ("WarningEvent", "ErrorEvent"):
        window.AddObserver(event, note)
    vtk.vtkOutputWindow.SetInstance(window)
    return heard
