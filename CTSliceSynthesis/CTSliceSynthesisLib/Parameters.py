"""What the user chose. Choices about the scan live in the scene, choices about this machine in Slicer's settings."""

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
    """How to increase the slice resolution of one volume.

    Attributes:
        factor, spacing, isotropic: at most one: times finer, slice spacing to come near (mm), or as fine as the pixels.
            With none of them the factor is 2.
        exact: with spacing or isotropic: reach it; only slices that coincide are acquired ones then.
        method: "three-view", "cubic", "bspline" or "linear".
        model: name of a bundled model or weights file, for "three-view".
        device: "auto", "cpu", "cuda", "cuda:n" or "mps".
        sliceAxis: 0, 1 or 2 for i, j or k; None finds it.
        thickness: slice thickness in mm; None takes what DICOM says.
        disagreement: also make a volume of how far the three views differ, in HU.
        expectedError: also make a volume of how wrong a synthesized voxel is likely to be, in HU.
        acquired: "keep", or "thin": slices as thin as the new ones in the places of the acquired ones too.
        texture: "estimate", or "even": for viewing, with the noise of the acquired slices.
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
    """Choices that are saved with the scene.

    inputVolume - the thick scan.
    outputVolume - replaced by the result; none makes a new volume.
    everyFrame - where the scan shows a sequence, work on all its frames.
    resolution - how many times finer, "isotropic", or "exact".
    exactSpacing - of the slices, in mm, for "exact".
    method, model, sliceAxis - see Options.
    thickness - slice thickness in mm; 0 takes what DICOM says.
    keepDisagreement, keepExpectedError - also make these volumes.
    thinAcquired - make thin slices in the places of the acquired ones too.
    evenTexture - make the variant for viewing.
    beforeVolume, afterVolume - what is compared.
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
    """The options that the panel stands for."""
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
    """Where this machine computes."""
    chosen = qt.QSettings().value(f"{MODULE}/Device", DEVICES[0])
    return chosen if chosen in DEVICES else DEVICES[0]


def setDevice(name: str) -> None:
    qt.QSettings().setValue(f"{MODULE}/Device", name)


def showsComparison() -> bool:
    """Whether a finished run is shown beside its input."""
    return str(qt.QSettings().value(f"{MODULE}/ShowComparison", "true")).lower() == "true"


def setShowsComparison(shows: bool) -> None:
    qt.QSettings().setValue(f"{MODULE}/ShowComparison", "true" if shows else "false")
