"""User choices. Choices about the scan are stored in the scene, choices about this machine in Slicer's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import qt
from CTSliceSynthesisEngine.networks.registry import DEFAULT_MODEL
from CTSliceSynthesisEngine.synthesis.options import ESTIMATE, EVEN, FACTORS, KEEP, THIN, THREE_VIEW
from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from .Setup import Models

MODULE = "CTSliceSynthesis"
ISOTROPIC, EXACT = "isotropic", "exact"
RESOLUTIONS = (*map(str, FACTORS), ISOTROPIC, EXACT)
METHODS = (THREE_VIEW, "cubic", "bspline", "linear")
AXES = ("automatic", "i", "j", "k")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Options:
    """Options of one run.

    Attributes:
        factor, spacing, isotropic: at most one of: upsampling factor, approximate slice spacing (mm), or slice spacing equal to
            the pixel spacing. If none is given, the factor is 2.
        exact: with spacing or isotropic: match it exactly; only acquired slices that coincide with a new one are kept.
        method: "three-view", "cubic", "bspline" or "linear".
        model: name of a bundled model or weights file, for "three-view".
        device: "auto", "cpu", "cuda", "cuda:n" or "mps".
        sliceAxis: 0, 1 or 2 for i, j or k; None detects it.
        thickness: slice thickness in mm; None uses the DICOM value.
        disagreement: also create a volume of the disagreement between the three views, in HU.
        expectedError: also create a volume of the expected error of each voxel, in HU.
        acquired: "keep", or "thin": also replace the acquired slices by thin estimates.
        texture: "estimate", or "even": for viewing, with the noise texture of the acquired slices.
    """

    factor: int | None = None
    spacing: float | None = None
    isotropic: bool = False
    exact: bool = False
    method: str = THREE_VIEW
    model: str = DEFAULT_MODEL
    device: str = "auto"
    sliceAxis: int | None = None
    thickness: float | None = None
    disagreement: bool = False
    expectedError: bool = False
    acquired: str = KEEP
    texture: str = ESTIMATE


@parameterNodeWrapper
class ParameterNode:
    """Choices saved with the scene.

    inputVolume - the thick scan.
    outputVolume - replaced by the result; if empty, a new volume is created.
    everyFrame - if the scan is a frame of a sequence, process all frames.
    resolution - upsampling factor, "isotropic", or "exact".
    exactSpacing - slice spacing in mm, for "exact".
    method, model, sliceAxis - see Options.
    thickness - slice thickness in mm; 0 uses the DICOM value.
    keepDisagreement, keepExpectedError - also create these volumes.
    thinAcquired - also replace the acquired slices by thin estimates.
    evenTexture - create the variant for viewing.
    beforeVolume, afterVolume - volumes to compare.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    everyFrame: bool = False
    resolution: Annotated[str, Choice(RESOLUTIONS)] = "2"
    exactSpacing: Annotated[float, WithinRange(0.1, 20)] = 1.0
    method: Annotated[str, Choice(METHODS)] = THREE_VIEW
    model: str = DEFAULT_MODEL
    sliceAxis: Annotated[str, Choice(AXES)] = "automatic"
    thickness: Annotated[float, WithinRange(0, 100)] = 0.0
    keepDisagreement: bool = False
    keepExpectedError: bool = True
    thinAcquired: bool = False
    evenTexture: bool = False
    beforeVolume: vtkMRMLScalarVolumeNode
    afterVolume: vtkMRMLScalarVolumeNode


def optionsOf(parameters: ParameterNode) -> Options:
    """Return the options selected in the panel."""
    isotropic, exact = (parameters.resolution == name for name in (ISOTROPIC, EXACT))
    axis = AXES.index(parameters.sliceAxis) - 1
    networks = parameters.method == THREE_VIEW
    return Options(
        factor=None if isotropic or exact else int(parameters.resolution),
        spacing=parameters.exactSpacing if exact else None,
        isotropic=isotropic,
        exact=exact,
        method=parameters.method,
        model=parameters.model,
        device=device(),
        sliceAxis=None if axis < 0 else axis,
        thickness=parameters.thickness or None,
        disagreement=parameters.keepDisagreement and networks,
        expectedError=parameters.keepExpectedError and networks and Models.knowsItsError(parameters.model),
        acquired=THIN if parameters.thinAcquired and networks and not exact else KEEP,
        texture=EVEN if parameters.evenTexture and networks else ESTIMATE,
    )


def device() -> str:
    """Return the compute device selected on this machine."""
    chosen = qt.QSettings().value(f"{MODULE}/Device", DEVICES[0])
    return chosen if chosen in DEVICES else DEVICES[0]


def setDevice(name: str) -> None:
    qt.QSettings().setValue(f"{MODULE}/Device", name)


def showsComparison() -> bool:
    """Return whether the result of a run is shown next to its input."""
    return str(qt.QSettings().value(f"{MODULE}/ShowComparison", "true")).lower() == "true"


def setShowsComparison(shows: bool) -> None:
    qt.QSettings().setValue(f"{MODULE}/ShowComparison", "true" if shows else "false")
