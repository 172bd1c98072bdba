"""The job "export": write an existing result as a derived DICOM series. Torch-free."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynthesisError
from ..synthesis.options import KEEP
from ..synthesis.outputs import OUTPUTS
from ..synthesis.places import Places
from ..synthesis.plan import output_thickness
from ..volume import files
from ..volume.dicom import dicom_folder, dicom_origin, dicom_pixels, dicom_template
from ..volume.dicom.dicom_result import check_folder
from ..volume.dicom.dicom_series import CONTENT, Derivation, Part, check_grid, write_series
from ..volume.dicom.dicom_template import Named
from ..volume.dicom_slice import Slice, normal
from ..volume.grid import Grid, fitting_count
from ..volume.source import FLIP
from ..volume.volume import Volume
from .events import Emit
from .export_request import ExportRequest

MOST_FACTOR = 1000
OFF_PIXELS = 0.5  # tolerance of an image's in-plane offset and tilt, in pixels and slices of the result
OFF_GAPS = 0.2  # tolerance along the stack, in image spacings: stored positions are rounded and slightly uneven


def export(request: ExportRequest, emit: Emit) -> dict[str, Any]:
    """Run a request; the folder is created atomically.

    Returns:
        "output", "slices" (their number) and "acquired" (the number of slices taken from the source).

    Raises:
        SynthesisError: see errors.REASONS.
    """
    origin, grid = _result(request.input)
    for name in request.outputs:
        if name not in OUTPUTS:
            message = f"An additional output is one of {', '.join(OUTPUTS)}, not {name!r}"
            raise SynthesisError("bad-request", f"{message}; give one of these.")
    check_folder(Path(request.output), overwrite=request.overwrite, source=Path(request.input))
    named = Named(request.patient_id, request.patient_name, request.study_uid)
    images = () if request.source is None else dicom_folder.images_of(Path(request.source), request.series)
    if images and normal(images[0]) @ FLIP[:3, :3] @ grid.directions[:, grid.slice_axis] < 0:
        images = images[::-1]
    template = dicom_template.of_images(images, named) if images else dicom_template.of_patient(named, request.input)
    volume = files.read(request.input, slice_axis=grid.slice_axis)
    check_grid(volume.grid)
    emit("progress", stage="write", done=0, total=1)
    derivation = Derivation(
        template,
        *_places(request, volume, images, origin),
        seed=request.uid_seed,
        of_result=bool(images and dicom_origin.origin(dicom_pixels.open_unchanged(images[0], with_pixels=False))),
    )
    parts = [_extra_part(volume, path, name) for name, path in request.outputs.items()]
    write_series([Part(volume, origin), *parts], Path(request.output), derivation, overwrite=request.overwrite)
    emit("progress", stage="write", done=1, total=1)
    acquired = sum(map(derivation.is_acquired, range(len(derivation.places))))
    fields = {"job": "export", "output": request.output, "slices": len(derivation.places), "acquired": acquired}
    emit("result", **fields)
    return fields


def _result(path: str) -> tuple[dict[str, str], Grid]:
    """Return the provenance of a result, and its grid.

    Raises:
        SynthesisError: "bad-input" for any other volume.
    """
    header = files.read_header(path)
    origin = dict(header.origin)
    if CONTENT in origin or not 1 < _factor(origin) < MOST_FACTOR:
        message = (
            f"A DICOM series is made of a result of CTSliceSynthesis whose header says how it was made, but {path}"
        )
        raise SynthesisError("bad-input", f"{message} is none; give the NRRD or MHA file of a result.")
    axis = "ijk".find(origin.get("slice_axis", "?"))
    return origin, header.grid if axis < 0 else replace(header.grid, slice_axis=axis)


def _factor(origin: dict[str, str]) -> float:
    """Return the upsampling factor, 0 if unknown; as int if it is an integer."""
    try:
        factor = float(origin.get("factor", ""))
    except ValueError:
        return 0
    return int(factor) if factor.is_integer() else factor


def _places(
    request: ExportRequest, volume: Volume, images: tuple[Slice, ...], origin: dict[str, str]
) -> tuple[np.ndarray, bool, float | None, float | None]:
    """Return slice positions among those of the source, whether acquired slices were kept, and the thickness of both."""
    grid, factor, keeps = volume.grid, _factor(origin), origin.get("acquired", KEEP) == KEEP
    thickness = grid.thickness
    if images:
        places = _positions_in(request, grid, images, factor)
        if keeps:
            _check_kept(request, volume, images, places)
            thickness = images[0].thickness or thickness
    else:
        places = _regular(grid.slice_count, factor)
    steps = grid.matrix.copy()
    steps[:3, grid.slice_axis] *= factor
    thick = replace(grid, matrix=steps, thickness=thickness)
    return places, keeps, thickness, output_thickness(thick, factor) if keeps else thickness


def _regular(count: int, factor: float) -> np.ndarray:
    """Return the positions of `count` slices, the first of them acquired, as fractional indices into the acquired slices."""
    return Places(math.ceil((count - 1) / factor) + 1, factor).at[:count]


def _positions_in(request: ExportRequest, grid: Grid, images: tuple[Slice, ...], factor: float) -> np.ndarray:
    """Return the slices of a result as fractional indices into images; SynthesisError "bad-geometry" on a mismatch."""
    corners = np.array([(image.position, _last_corner(image)) for image in images])
    ijk = (corners @ FLIP[:3, :3] - grid.origin) @ np.linalg.inv(grid.matrix[:3, :3]).T
    first, second = grid.in_plane_axes
    sideways = np.abs(ijk[:, :, [first, second]] - [[0, 0], [grid.size[first] - 1, grid.size[second] - 1]]).max()
    along = ijk[:, :, grid.slice_axis].mean(axis=1)
    tilt = np.abs(np.diff(ijk[:, :, grid.slice_axis])).max()
    is_aligned = grid.slice_axis == 2 and max(sideways, tilt) < OFF_PIXELS
    offset = np.abs(along - np.arange(len(images)) * factor).max()
    if is_aligned and fitting_count(len(images), factor) == grid.slice_count and offset <= OFF_GAPS * factor:
        return _regular(grid.slice_count, factor)
    ends = np.abs(along[[0, -1]] - [0, grid.slice_count - 1]).max()
    if is_aligned and ends < OFF_PIXELS:  # uneven slices, resampled to a regular grid
        return np.interp(np.arange(grid.slice_count), along, np.arange(len(images)))
    message = f"A derived series lies on the images of its source, but {request.input} does not lie on those of"
    raise SynthesisError("bad-geometry", f"{message} {request.source}; give the series that it was made from.")


def _last_corner(image: Slice) -> np.ndarray:
    """Return the LPS position in mm of the last pixel of an image."""
    along_rows = (image.columns - 1) * image.pixel_spacing[0] * np.array(image.orientation[:3])
    return image.position + along_rows + (image.rows - 1) * image.pixel_spacing[1] * np.array(image.orientation[3:])


def _check_kept(request: ExportRequest, volume: Volume, images: tuple[Slice, ...], places: np.ndarray) -> None:
    """Raise SynthesisError "bad-input" if the acquired slices were changed since."""
    acquired = dicom_pixels.voxels(images)
    slices = np.moveaxis(volume.voxels, volume.slice_array_axis, 0)
    for index, place in enumerate(places):
        if place != round(place):
            continue
        image = images[round(place)]
        rounding = abs(image.rescale[0]) / 2 if image.rescale else 0.5
        if np.abs(slices[index].astype(np.float64) - acquired[round(place)]).max() > rounding:
            message = (
                f"The acquired slices of {request.input} should be those of {request.source}, but slice {index + 1}"
            )
            raise SynthesisError(
                "bad-input", f"{message} differs from {image.path.name}; export the result as it was made."
            )


def _extra_part(volume: Volume, path: str, subfolder: str) -> Part:
    """Return the series of an additional volume that was created with the result."""
    axis = volume.grid.slice_axis
    header = files.read_header(path, slice_axis=axis)
    if CONTENT not in header.origin or not header.grid.matches(volume.grid):
        message = f"Additional outputs must have been made with the result, but {path} was not"
        raise SynthesisError("bad-input", f"{message}; give its expected error or its disagreement.")
    return Part(files.read(path, slice_axis=axis), header.origin, subfolder)
