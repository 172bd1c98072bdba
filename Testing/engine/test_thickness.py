"""Estimation of the slice thickness on isotropic anatomy thickened with known profiles."""

from dataclasses import replace

import numpy as np
import pytest
from CTSliceSynthesisEngine.volume.thickness import THIN, estimate_thickness
from CTSliceSynthesisEngine.volume.thinning import thin_out
from scipy import ndimage


@pytest.fixture(scope="module")
def anatomy():
    """Return (160, 128, 128) HU, 0.8 mm voxels: isotropic blobs and noise."""
    rng = np.random.default_rng(0)
    blobs = sum(ndimage.gaussian_filter(rng.normal(0, 1, (160, 128, 128)), size) * size**1.9 for size in (1, 2, 4, 8))
    return (40 * blobs / blobs.std() + rng.normal(0, 4, blobs.shape)).astype(np.int16)


@pytest.fixture
def thin(anatomy, make_volume):
    return make_volume(anatomy.shape[::-1], (0.8, 0.8, 0.8), thickness=0.8, voxels=anatomy)


@pytest.mark.parametrize("factor", [4, 5])
def test_contiguous_slices_are_distinguished_from_others(thin, factor):
    told = {profile: estimate_thickness(thin_out(thin, factor, profile)) for profile in ("gap", "slab", "bell")}
    assert told["slab"] == told["bell"] == 0.8 * factor
    assert told["gap"] is None or told["gap"] < 0.8 * factor * THIN


def test_slices_that_differ_like_pixels_at_the_same_distance_are_thin(make_volume):
    noise = np.random.default_rng(0).normal(40, 50, (40, 128, 128)).astype(np.int16)
    scan = make_volume((128, 128, 40), (0.8, 0.8, 4.0), voxels=noise)
    assert estimate_thickness(scan) == pytest.approx(0.2 * 4.0, abs=0.2 * 4.0)


def test_the_estimate_depends_on_the_voxels_only(thin):
    thick = thin_out(thin, 4, "slab")
    said = replace(thick, grid=replace(thick.grid, thickness=0.9))
    assert estimate_thickness(said) == estimate_thickness(thick)


def test_the_estimate_is_in_mm_and_along_the_slice_axis(thin, make_volume):
    thick = thin_out(thin, 4, "slab")
    turned = make_volume(
        (40, 128, 128), (3.2, 0.8, 0.8), slice_axis=0, voxels=np.ascontiguousarray(np.moveaxis(thick.voxels, 0, 2))
    )
    assert estimate_thickness(turned) == pytest.approx(estimate_thickness(thick))
    doubled = replace(thick, grid=replace(thick.grid, matrix=2 * thick.grid.matrix))
    assert estimate_thickness(doubled) == pytest.approx(2 * estimate_thickness(thick))


@pytest.mark.parametrize("size", [(12, 12, 40), (128, 128, 3)])
def test_too_small_volumes_give_no_estimate(make_volume, size):
    assert estimate_thickness(make_volume(size, (0.8, 0.8, 3.0))) is None


def test_air_gives_no_estimate(make_volume):
    air = np.full((40, 128, 128), -1000, np.int16)
    assert estimate_thickness(make_volume((128, 128, 40), (0.8, 0.8, 3.0), voxels=air)) is None
