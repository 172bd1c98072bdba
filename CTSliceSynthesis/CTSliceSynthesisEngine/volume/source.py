"""What every file format is brought down to before it becomes a Volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .dicom_slice import Slice

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS <-> RAS: DICOM, NRRD, MetaImage and ITK count to the left and back, Slicer and NIfTI to the right and front."""
ORIGIN = "CTSliceSynthesis."
"""How the free fields begin in which a result says how it was made."""


@dataclass(frozen=True, eq=False)
class Acquired:
    """The DICOM images that a volume was read from.

    Attributes:
        images: along the slice axis.
        at: (n,) the volume's slices as fractional indices into the images: 0, 1, 2, ... unless they were resampled.
    """

    images: tuple[Slice, ...]
    at: np.ndarray


@dataclass(frozen=True)
class Source:
    """A volume that has been found and measured, but not loaded.

    Attributes:
        name: what to call it in a sentence.
        size: voxels along (i, j, k).
        lps: (4, 4) homogeneous IJK -> LPS in mm, as DICOM, NRRD and ITK count.
        dtype: voxel type that `load` will give.
        load: reads the voxels, indexed (k, j, i); SynthesisError "bad-input" if they are not those of this header.
        slice_axis: the format's own slice axis, None if it names none.
        thickness: nominal slice thickness in mm, None if unknown.
        fields: free text fields of the file.
        warnings: sentences for the user.
        notes: sentences for whoever asks what the file is.
        acquired: the images that it is made of, where they are DICOM.
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
