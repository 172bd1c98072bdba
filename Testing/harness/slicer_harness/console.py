"""What VTK and MRML warn of: Slicer shows it in its console, and tests must not."""

from __future__ import annotations

import vtk

FOR_WANT_OF_SLICER = ("FindTextFiles", "Failed to load presets", "ResolveUnresolvedItems", "ResolveSubjectHierarchy")
"""Said by slicer-core alone: the application has these files, and the plugins that fill a subject hierarchy."""


def listen() -> list[str]:
    """A list that gets each warning and error from now on; they are still printed."""
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
