"""Voxel grids in patient space. All geometry is computed here."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SynthesisError

TIE = 1e-3  # relative difference below which spacings count as equal
STRAIGHT_DEGREES = 0.01  # smaller angles are rounding in the file, not a property of the scan
ISOTROPIC = 1.05  # slices at most this many pixels apart count as isotropic


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxel centers in patient space (RAS, mm), with a designated slice axis.

    Attributes:
        size: number of voxels along (i, j, k); an array on this grid has the shape (k, j, i).
        matrix: (4, 4) float64, homogeneous IJK -> RAS in mm; column n is the step along axis n, column 3 the origin.
            The columns need not be orthogonal: gantry tilt shears them.
        slice_axis: 0, 1 or 2 for i, j or k: the through-plane axis.
        thickness: nominal slice thickness in mm, None if unknown.

    Raises:
        SynthesisError: "bad-geometry" if the grid is degenerate (zero, singular or non-finite steps).
    """

    size: tuple[int, int, int]
    matrix: np.ndarray
    slice_axis: int = 2
    thickness: float | None = None

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, np.float64)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "size", tuple(int(n) for n in self.size))
        object.__setattr__(self, "thickness", None if self.thickness is None else float(self.thickness))
        fault = _fault(self)
        if fault:
            raise SynthesisError("bad-geometry", fault)

    @property
    def origin(self) -> tuple[float, float, float]:
        """RAS position in mm of the center of voxel (0, 0, 0)."""
        return _triple(self.matrix[:3, 3])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbors along (i, j, k)."""
        return _triple(np.linalg.norm(self.matrix[:3, :3], axis=0))

    @property
    def directions(self) -> np.ndarray:
        """(3, 3) unit steps in RAS, one column per axis."""
        return self.matrix[:3, :3] / np.array(self.spacing)

    @property
    def slice_count(self) -> int:
        """Number of slices."""
        return self.size[self.slice_axis]

    @property
    def slice_spacing(self) -> float:
        """Distance in mm between the centers of neighboring slices, along the slice axis."""
        return self.spacing[self.slice_axis]

    @property
    def slice_distance(self) -> float:
        """Perpendicular distance in mm between neighboring slice planes; less than their spacing with gantry tilt."""
        return self.slice_spacing * float(np.cos(np.radians(self.tilt_degrees)))

    @property
    def in_plane_axes(self) -> tuple[int, int]:
        """The other two axes, in index order."""
        first, second = (axis for axis in range(3) if axis != self.slice_axis)
        return first, second

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """Distance in mm between pixels along the two in-plane axes, in index order."""
        first, second = self.in_plane_axes
        return self.spacing[first], self.spacing[second]

    @property
    def is_oblique(self) -> bool:
        """True if some axis is not along R, A or S."""
        return bool(np.abs(self.directions).max(axis=0).min() < np.cos(np.radians(STRAIGHT_DEGREES)))

    @property
    def is_left_handed(self) -> bool:
        """True if i x j points against k."""
        return bool(np.linalg.det(self.matrix[:3, :3]) < 0)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the slice axis and the slice normal, 0 when orthogonal; gantry tilt shears the stack."""
        directions = self.directions
        first, second = self.in_plane_axes
        normal = np.cross(directions[:, first], directions[:, second])
        along = directions[:, self.slice_axis]
        across = np.linalg.norm(np.cross(normal, along))  # atan2, because acos near 1 amplifies rounding
        angle = float(np.degrees(np.arctan2(across, abs(normal @ along))))
        return angle if angle > STRAIGHT_DEGREES else 0.0

    @property
    def is_isotropic(self) -> bool:
        """True if the slice spacing is about the pixel spacing, so that upsampling gains nothing."""
        return self.slice_spacing <= ISOTROPIC * max(self.pixel_spacing)

    def refined(self, factor: int) -> Grid:
        """Return the grid with `factor - 1` new slices per gap: N become (N - 1) * factor + 1, with the same origin."""
        factor = whole_factor(factor)
        return self._with_slices((self.slice_count - 1) * factor + 1, 1 / factor)

    def upsampled(self, factor: float) -> Grid:
        """Return the grid with slices `factor` times closer, integer or fractional; as many as fit from the first on."""
        return self._with_slices(fitting_count(self.slice_count, factor), 1 / factor)

    def coarsened(self, factor: int) -> Grid:
        """Invert `refined`: keep every `factor`-th slice from the first on, N become (N - 1) // factor + 1."""
        factor = whole_factor(factor)
        return self._with_slices((self.slice_count - 1) // factor + 1, factor)

    def _with_slices(self, count: int, step: float) -> Grid:
        size = list(self.size)
        size[self.slice_axis] = count
        matrix = self.matrix.copy()
        matrix[:3, self.slice_axis] *= step
        return replace(self, size=(size[0], size[1], size[2]), matrix=matrix)

    def ras(self, ijk: Sequence[float] | np.ndarray) -> np.ndarray:
        """Return the RAS position in mm, (..., 3), of the (possibly fractional) index (i, j, k), (..., 3)."""
        return np.asarray(ijk, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Return whether both grids have the same size, with all corners within `tolerance` mm of each other."""
        if self.size != other.size:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size], indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.ras(corners) - other.ras(corners)).max() <= tolerance)


def default_slice_axis(spacing: Sequence[float]) -> int:
    """Return the axis of the largest spacing; among ties (within a thousandth), the third, otherwise the first."""
    largest = max(spacing)
    tied = [axis for axis in range(3) if spacing[axis] >= largest * (1 - TIE)]
    return 2 if 2 in tied else tied[0]


def fitting_count(slices: int, factor: float) -> int:
    """Return how many slices, `factor` times closer, fit between the first and the last of `slices` slices."""
    return int(((slices - 1) + TIE) * factor) + 1


def whole_factor(factor: int) -> int:
    """Return `factor` as an int; raise SynthesisError "bad-option" unless it is an integer of at least 1."""
    try:
        whole = operator.index(factor)
    except TypeError:
        whole = 0
    if whole < 1:
        raise SynthesisError("bad-option", f"A factor must be a whole number of at least 1, not {factor!r}.")
    return whole


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _fault(grid: Grid) -> str | None:
    """Return the first rule that this grid violates, as a sentence."""
    if len(grid.size) != 3 or min(grid.size) < 1:
        return f"A volume needs three sizes of at least one voxel, not {grid.size}; check the file."
    if grid.matrix.shape != (4, 4) or not np.isfinite(grid.matrix).all():
        return "The position of the voxels must be a 4 x 4 matrix of finite numbers; correct origin, spacing and direction."
    if grid.slice_axis not in (0, 1, 2):
        return f"The slice axis is 0, 1 or 2 (i, j or k), not {grid.slice_axis!r}; choose one of them."
    if grid.thickness is not None and not 0 < grid.thickness < np.inf:
        return f"A slice thickness must be above 0 mm, not {grid.thickness!r}; leave it out if it is unknown."
    if min(grid.spacing) <= 0:
        return f"Spacings must be above 0 mm, not {grid.spacing}; correct the spacing in the file."
    if abs(np.linalg.det(grid.directions)) < TIE:
        return "The three voxel axes must not lie in one plane, but they do; correct the direction in the file."
    return None
