"""Geometry that can be verified by hand: a grid of 0.7 x 0.8 x 5 mm with origin (-10, 20, -30)."""

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume.grid import Grid, default_slice_axis
from CTSliceSynthesisEngine.volume.volume import Volume


def tilted(degrees):
    """Return the directions of a stack sheared towards anterior."""
    directions = np.eye(3)
    directions[:, 2] = [0, np.sin(np.radians(degrees)), np.cos(np.radians(degrees))]
    return directions


def rotated(degrees):
    """Return the directions of a stack rotated about the patient's long axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@pytest.fixture
def grid(make_volume):
    return make_volume(thickness=4.0).grid


def test_the_columns_of_the_matrix_give_spacing_and_origin(grid):
    assert grid.spacing == pytest.approx((0.7, 0.8, 5.0))
    assert grid.origin == (-10, 20, -30)
    assert (grid.slice_spacing, grid.slice_count) == (pytest.approx(5.0), 5)
    assert grid.pixel_spacing == pytest.approx((0.7, 0.8))


@pytest.mark.parametrize(
    ("axis", "slices", "pixels"), [(0, 0.7, (0.8, 5.0)), (1, 0.8, (0.7, 5.0)), (2, 5.0, (0.7, 0.8))]
)
def test_any_axis_can_be_the_slice_axis(make_volume, axis, slices, pixels):
    grid = make_volume(slice_axis=axis).grid
    assert grid.slice_spacing == pytest.approx(slices)
    assert grid.pixel_spacing == pytest.approx(pixels)
    assert grid.slice_count == (7, 6, 5)[axis]


def test_ras_takes_one_index_or_many(grid):
    np.testing.assert_allclose(grid.ras((1, 2, 3)), [-9.3, 21.6, -15])
    np.testing.assert_allclose(grid.ras([[0, 0, 0], [0, 0, 0.5]]), [[-10, 20, -30], [-10, 20, -27.5]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_refining_keeps_the_acquired_slices_where_they_are(make_volume, axis):
    grid = make_volume(slice_axis=axis, thickness=4.0).grid
    fine = grid.refined(3)
    index = np.array([2.0, 3.0, 4.0])
    finer = index.copy()
    finer[axis] *= 3
    np.testing.assert_allclose(fine.ras(finer), grid.ras(index))
    assert fine.slice_count == (grid.slice_count - 1) * 3 + 1
    assert (fine.thickness, fine.slice_axis) == (4.0, axis)
    assert fine.origin == grid.origin


def test_coarsening_inverts_refining(grid):
    assert grid.refined(4).coarsened(4).matches(grid, tolerance=1e-9)


def test_coarsening_keeps_as_many_slices_as_fit(make_volume):
    counts = {n: make_volume(size=(2, 2, n)).grid.coarsened(3).slice_count for n in (4, 5, 6, 7)}
    assert counts == {4: 2, 5: 2, 6: 2, 7: 3}


def test_refining_a_tilted_stack_keeps_its_tilt(make_volume):
    grid = make_volume(directions=tilted(15)).grid
    assert grid.tilt_degrees == pytest.approx(15)
    assert grid.refined(2).tilt_degrees == pytest.approx(15)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_upright_stack_has_no_tilt_along_any_axis(make_volume, axis):
    assert make_volume(directions=rotated(30), slice_axis=axis).grid.tilt_degrees == 0


def test_a_rotated_stack_is_oblique_and_an_upright_one_is_not(make_volume):
    assert make_volume(directions=rotated(5)).grid.is_oblique
    assert make_volume(directions=tilted(5)).grid.is_oblique
    assert not make_volume(directions=rotated(90)).grid.is_oblique
    assert not make_volume().grid.is_oblique


def test_one_flipped_axis_makes_a_grid_left_handed(make_volume):
    assert make_volume(directions=np.diag([1.0, 1.0, -1.0])).grid.is_left_handed
    assert not make_volume(directions=np.diag([-1.0, 1.0, -1.0])).grid.is_left_handed


@pytest.mark.parametrize(
    ("spacing", "is_isotropic"), [(0.5, True), (0.8, True), (0.84, True), (0.85, False), (5, False)]
)
def test_slices_as_close_as_the_largest_pixels_count_as_isotropic(make_volume, spacing, is_isotropic):
    assert make_volume(spacing=(0.7, 0.8, spacing)).grid.is_isotropic is is_isotropic


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [
        ((1, 1, 5), 2),
        ((5, 1, 1), 0),
        ((1, 5, 1), 1),
        ((1, 1, 1), 2),
        ((5, 5, 1), 0),
        ((1, 5, 5), 2),
        ((1, 1, 0.9995), 2),
    ],
)
def test_the_slice_axis_has_the_largest_spacing_and_ties_prefer_the_third(spacing, axis):
    assert default_slice_axis(spacing) == axis


def test_grids_match_within_a_tolerance_at_every_corner(make_volume):
    grid = make_volume(size=(100, 100, 100)).grid
    stretched = make_volume(size=(100, 100, 100), spacing=(0.7, 0.8, 5.0001)).grid
    assert grid.matches(grid)
    assert not grid.matches(stretched)  # 0.0001 mm per slice is 0.0099 mm at the end
    assert grid.matches(stretched, tolerance=0.01)
    assert not grid.matches(make_volume().grid)


def test_a_grid_is_immutable_and_independent_of_its_input_array():
    matrix = np.eye(4)
    grid = Grid((2, 2, 2), matrix)
    matrix[0, 0] = 9
    assert grid.spacing == (1, 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        grid.matrix[0, 0] = 9


def spoiled(row, column, value):
    matrix = np.eye(4)
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        (dict(size=(0, 2, 2)), "at least one voxel"),
        (dict(size=(2, 2)), "three sizes"),
        (dict(matrix=spoiled(2, 2, 0)), "above 0 mm"),
        (dict(matrix=spoiled(2, 2, np.nan)), "finite"),
        (dict(matrix=np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])), "one plane"),
        (dict(matrix=np.eye(3)), "4 x 4"),
        (dict(slice_axis=3), "0, 1 or 2"),
        (dict(thickness=0.0), "above 0 mm"),
        (dict(thickness=np.nan), "above 0 mm"),
    ],
)
def test_an_invalid_grid_is_refused_with_the_rule(fields, rule):
    with pytest.raises(SynthesisError, match=rule) as caught:
        Grid(**(dict(size=(2, 2, 2), matrix=np.eye(4)) | fields))
    assert caught.value.reason == "bad-geometry"


@pytest.mark.parametrize("factor", [0, -2, 1.5, "2"])
def test_a_factor_must_be_a_whole_number_of_at_least_one(grid, factor):
    for method in (grid.refined, grid.coarsened):
        with pytest.raises(SynthesisError, match="whole number") as caught:
            method(factor)
        assert caught.value.reason == "bad-option"


def test_voxels_must_match_their_grid(grid):
    with pytest.raises(SynthesisError, match="do not fill"):
        Volume(np.zeros((7, 6, 5)), grid)


@pytest.mark.parametrize(("axis", "array_axis"), [(0, 2), (1, 1), (2, 0)])
def test_array_axes_are_in_reverse_order(make_volume, axis, array_axis):
    volume = make_volume(slice_axis=axis)
    assert volume.slice_array_axis == array_axis
    assert volume.voxels.shape[array_axis] == volume.grid.slice_count
