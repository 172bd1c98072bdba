"""The overlays that say how far a result can be trusted: their colours, their range, and the legend that explains them."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import Origin

LEAST, MOST = 5, 100  # HU: below the first the result is seen as it is; above the second all is alike
OPACITY = 0.6
STOPS = ((0.25, 0.0, 0.45), (0.75, 0.1, 0.45), (0.95, 0.45, 0.1), (1.0, 0.95, 0.4))
"""Violet, crimson, orange, yellow: brighter is more doubtful, also for those who see few colours."""
COLOURS = 256


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
        "“{name}” has no view disagreement: make it again with “Keep how far the views differ (HU)”, under Model and advanced."
    ).format(name=result.GetName())


def colour(node):
    """Colour a volume of HU of doubt; what is nearly certain becomes transparent. Returns the colour node that was made."""
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetTypeToUser()
    colours.SetName(slicer.mrmlScene.GenerateUniqueName("CT Slice Synthesis doubt"))
    colours.SetSaveWithScene(False)
    colours.SetHideFromEditors(True)
    colours.SetNumberOfColors(COLOURS)
    places = np.linspace(0, 1, len(STOPS))
    for entry, share in enumerate(np.linspace(0, 1, COLOURS)):
        red, green, blue = (float(np.interp(share, places, channel)) for channel in zip(*STOPS, strict=True))
        colours.SetColor(entry, f"{share * MOST:.0f}", red, green, blue)
    colours = slicer.mrmlScene.AddNode(colours)
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(MOST, MOST / 2)
    display.SetAutoThreshold(False)
    display.SetThreshold(LEAST, np.iinfo(np.int16).max)
    display.SetApplyThreshold(True)
    return colours


def legend(node, overlay: str, sliceNode):
    """A colour legend in one slice view."""
    made = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    made.SetSaveWithScene(False)
    made.SetTitleText(title(overlay))
    made.SetNumberOfLabels(5)
    made.AddViewNodeID(sliceNode.GetID())
    return made
