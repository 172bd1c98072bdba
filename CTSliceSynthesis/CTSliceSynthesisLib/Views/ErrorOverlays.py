"""The overlays that say how far a result can be trusted: their colours, their range, and the legend that explains them."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..Scene import Origin

LEAST, MOST = 5, 100  # HU: below the first the result is seen as it is; above the second all is alike
DENSEST = 0.6  # opacity at MOST; the anatomy is seen through the least doubts, and guessed through the greatest
STOPS = ((0.25, 0.0, 0.45), (0.75, 0.1, 0.45), (0.95, 0.45, 0.1), (1.0, 0.95, 0.4))
"""Violet, crimson, orange, yellow: brighter is more doubtful, also for those who see few colours."""
MARGIN = 0.16  # share of the view that the legend takes, at its lower edge
NAME = "CT Slice Synthesis doubt"


def title(overlay: str) -> str:
    """What an overlay shows, for its legend."""
    return {Origin.EXPECTED_ERROR: _("Expected error (HU)"), Origin.DISAGREEMENT: _("View disagreement (HU)")}[overlay]


def missing(result, overlay: str) -> str:
    """What to do where a result has no such volume."""
    if overlay == Origin.EXPECTED_ERROR:
        return _(
            "“{name}” has no expected error: make it again with “Keep the expected error (HU)”, under Model and advanced."
        ).format(name=result.GetName())
    return _(
        "“{name}” has no view disagreement: make it again with “Keep the view disagreement (HU)”, under Model and advanced."
    ).format(name=result.GetName())


def opacity(hu: float) -> float:
    """How much an overlay hides of the result, 0 to 1: the more, the greater the doubt."""
    return DENSEST * float(np.clip((hu - LEAST) / (MOST - LEAST), 0, 1))


def make(node) -> list:
    """The nodes that draw a volume of HU of doubt, those that refer to others last.

    A label map with the very same voxels: Slicer honours the opacity of each colour in that layer alone.
    """
    colours = table()
    made = slicer.vtkMRMLLabelMapVolumeNode()
    made.SetName(slicer.mrmlScene.GenerateUniqueName(NAME))
    made.SetSaveWithScene(False)
    made.SetHideFromEditors(True)
    made.CopyOrientation(node)  # the same grid
    made.SetAndObserveImageData(node.GetImageData())
    made = slicer.mrmlScene.AddNode(made)
    made.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    made.CreateDefaultDisplayNodes()
    display = made.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetScalarRange(0, MOST)  # of the legend
    return [colours, display, made]


def table():
    """A colour, and its opacity, for each HU of doubt."""
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetTypeToUser()
    colours.SetName(slicer.mrmlScene.GenerateUniqueName(NAME))
    colours.SetSaveWithScene(False)
    colours.SetHideFromEditors(True)
    colours.SetNumberOfColors(MOST + 1)
    colours.GetLookupTable().SetTableRange(0, MOST)
    places = np.linspace(0, 1, len(STOPS))
    for hu in range(MOST + 1):
        red, green, blue = (float(np.interp(hu / MOST, places, channel)) for channel in zip(*STOPS, strict=True))
        colours.SetColor(hu, str(hu), red, green, blue, opacity(hu))
    return slicer.mrmlScene.AddNode(colours)


def legend(node, overlay: str, sliceNode):
    """A colour legend along the lower edge of one slice view, which leaves MARGIN for it."""
    made = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    made.SetSaveWithScene(False)
    made.SetTitleText(title(overlay))
    made.SetUseColorNamesForLabels(False)
    made.SetLabelFormat("%.0f")
    made.SetNumberOfLabels(5)
    made.SetOrientation(made.Horizontal)
    made.SetPosition(0.9, 0.0)
    made.SetSize(MARGIN * 0.9, 0.5)
    made.AddViewNodeID(sliceNode.GetID())
    return made
