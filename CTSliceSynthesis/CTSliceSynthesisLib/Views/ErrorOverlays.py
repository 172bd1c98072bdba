"""Overlays of expected error and view disagreement: colors, range and legend."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..Scene import Origin

LEAST, MOST = 5, 100  # HU: fully transparent below LEAST; constant color above MOST
DENSEST = 0.6  # opacity at MOST; the anatomy stays visible underneath
STOPS = ((0.25, 0.0, 0.45), (0.75, 0.1, 0.45), (0.95, 0.45, 0.1), (1.0, 0.95, 0.4))
"""Violet, crimson, orange, yellow: larger errors are brighter, also for color-blind users."""
MARGIN = 0.16  # fraction of the view's height that the legend takes, at the bottom
NAME = "CT Slice Synthesis doubt"


def title(overlay: str) -> str:
    """Return the legend title of an overlay."""
    return {Origin.EXPECTED_ERROR: _("Expected error (HU)"), Origin.DISAGREEMENT: _("View disagreement (HU)")}[overlay]


def missing(result, overlay: str) -> str:
    """Return what to do if a result has no such volume."""
    if overlay == Origin.EXPECTED_ERROR:
        return _(
            "“{name}” has no expected error: make it again with “Keep the expected error (HU)”, under Model and advanced."
        ).format(name=result.GetName())
    return _(
        "“{name}” has no view disagreement: make it again with “Keep the view disagreement (HU)”, under Model and advanced."
    ).format(name=result.GetName())


def opacity(hu: float) -> float:
    """Return the opacity of the overlay, 0 to 1, which increases with the error."""
    return DENSEST * float(np.clip((hu - LEAST) / (MOST - LEAST), 0, 1))


def make(node) -> list:
    """Create the nodes that display an error volume (HU), referring nodes last.

    A label map shares its voxels: Slicer supports per-color opacity in the label layer only.
    """
    colors = table()
    labelMap = slicer.vtkMRMLLabelMapVolumeNode()
    labelMap.SetName(slicer.mrmlScene.GenerateUniqueName(NAME))
    labelMap.SetSaveWithScene(False)
    labelMap.SetHideFromEditors(True)
    labelMap.CopyOrientation(node)  # the same grid
    labelMap.SetAndObserveImageData(node.GetImageData())
    labelMap = slicer.mrmlScene.AddNode(labelMap)
    labelMap.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    labelMap.CreateDefaultDisplayNodes()
    display = labelMap.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetAndObserveColorNodeID(colors.GetID())
    display.SetScalarRange(0, MOST)  # of the legend
    return [colors, display, labelMap]


def table():
    """Create the color table: one color and opacity per HU."""
    colors = slicer.vtkMRMLColorTableNode()
    colors.SetTypeToUser()
    colors.SetName(slicer.mrmlScene.GenerateUniqueName(NAME))
    colors.SetSaveWithScene(False)
    colors.SetHideFromEditors(True)
    colors.SetNumberOfColors(MOST + 1)
    colors.GetLookupTable().SetTableRange(0, MOST)
    places = np.linspace(0, 1, len(STOPS))
    for hu in range(MOST + 1):
        red, green, blue = (float(np.interp(hu / MOST, places, channel)) for channel in zip(*STOPS, strict=True))
        colors.SetColor(hu, str(hu), red, green, blue, opacity(hu))
    return slicer.mrmlScene.AddNode(colors)


def legend(node, overlay: str, sliceNode):
    """Add a color legend along the bottom of one slice view, which leaves MARGIN for it."""
    legendNode = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    legendNode.SetSaveWithScene(False)
    legendNode.SetTitleText(title(overlay))
    legendNode.SetUseColorNamesForLabels(False)
    legendNode.SetLabelFormat("%.0f")
    legendNode.SetNumberOfLabels(5)
    legendNode.SetOrientation(legendNode.Horizontal)
    legendNode.SetPosition(0.9, 0.0)
    legendNode.SetSize(MARGIN * 0.9, 0.5)
    legendNode.AddViewNodeID(sliceNode.GetID())
    return legendNode
