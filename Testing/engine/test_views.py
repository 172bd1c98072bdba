"""Axis permutations and their inverses, on stacks of distinct voxels."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.synthesis import views

D, H, W = 3, 4, 5
STACK = torch.arange(D * H * W, dtype=torch.float32).reshape(D, H, W)


@pytest.mark.parametrize(("slice_axis", "shape"), [(2, (5, 6, 7)), (1, (6, 5, 7)), (0, (7, 5, 6))])
def test_slices_come_first_and_go_back(make_volume, slice_axis, shape):
    volume = make_volume(size=(7, 6, 5), slice_axis=slice_axis)
    slices = views.slices_first(volume.voxels, volume.grid)
    assert slices.shape == shape
    assert np.array_equal(slices[1], np.take(volume.voxels, 1, axis=2 - slice_axis))
    assert np.array_equal(views.file_order(slices, volume.grid), volume.voxels)


@pytest.mark.parametrize(("slice_axis", "expected"), [(2, (0.8, 0.7)), (1, (5.0, 0.7)), (0, (5.0, 0.8))])
def test_rows_and_columns_have_the_spacing_of_their_axes(make_volume, slice_axis, expected):
    """Arrays are indexed (k, j, i): without the slice axis, the higher axis gives rows and the lower one columns."""
    grid = make_volume(spacing=(0.7, 0.8, 5.0), slice_axis=slice_axis).grid
    assert views.row_column_spacing(grid) == pytest.approx(expected)


def test_a_coronal_plane_holds_one_row_of_every_slice():
    planes = views.coronal_planes(STACK)
    assert planes.shape == (H, 1, W, D)
    for row in range(H):
        for depth in range(D):
            assert torch.equal(planes[row, 0, :, depth], STACK[depth, row])


def test_new_columns_of_coronal_planes_become_slices_of_their_gap():
    new = torch.arange(H * 2 * W * (D - 1), dtype=torch.float32).reshape(H, 2, W, D - 1)
    slices = views.from_coronal_planes(new)
    assert slices.shape == (D - 1, 2, H, W)
    for row in range(H):
        for step in range(2):
            for gap in range(D - 1):
                assert torch.equal(slices[gap, step, row], new[row, step, :, gap])


def test_planes_go_back_to_the_slices_they_were_made_of():
    assert torch.equal(views.from_coronal_planes(views.coronal_planes(STACK))[:, 0], STACK)


def test_a_sagittal_plane_is_the_coronal_one_of_the_swapped_stack():
    planes = views.coronal_planes(views.swap_rows_columns(STACK))
    for column in range(W):
        assert torch.equal(planes[column, 0], STACK[:, :, column].T)
    assert torch.equal(views.swap_rows_columns(views.swap_rows_columns(STACK)), STACK)
