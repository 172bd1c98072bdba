"""Common representation of all file formats, from which a Volume is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .dicom_slice import Slice

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS <-> RAS: DICOM, NRRD, MetaImage and ITK use left-posterior, Slicer and NIfTI right-anterior."""
ORIGIN = "CTSliceSynthesis."
"""Prefix of the free text fields that record how a result was made."""


@dataclass(frozen=True, eq=False)
class Acquired:
    """The DICOM images that a volume was read from.

    Attributes:
        images: along the slice axis.
        at: (n,) positions of the volume's slices as fractional image indices: 0, 1, 2, ... unless resampled.
    """

    images: tuple[Slice, ...]
    at: np.ndarray


@dataclass(frozen=True)
class Source:
    """A volume whose header has been read, but not its voxels.

    Attributes:
        name: its name in messages.
        size: voxels along (i, j, k).
        lps: (4, 4) homogeneous IJK -> LPS in mm, as in DICOM, NRRD and ITK.
        dtype: voxel type returned by `load`.
        load: reads the voxels, indexed (k, j, i); SynthesisError "bad-input" if they do not match this header.
        slice_axis: defined by the format, or None.
        thickness: nominal slice thickness in mm, None if unknown.
        fields: free text fields of the file.
        warnings: messages for the user.
        notes: descriptive messages about the file.
        acquired: the images it consists of, if they are DICOM.
    """

    name: str
    size: tuple[int, int, int]
    lps: np.ndarray
    dtype: np.dtype
    load: Callable[[], np.ndarray]
    slice_axis: int | None = None
    thickness: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    acquired: Acquired | None = None
