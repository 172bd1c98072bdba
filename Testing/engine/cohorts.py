"""Small cohorts of scans and a training order, shared by the training tests."""

import numpy as np
import pytest
from CTSliceSynthesisEngine.training.distillation import StepSettings
from CTSliceSynthesisEngine.training.optimization.training_loop import LoopSettings
from CTSliceSynthesisEngine.training.scans.scan import MIN_PIXELS
from CTSliceSynthesisEngine.training.train_cohort import Order
from CTSliceSynthesisEngine.training.training_recipes import GapTraining
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume


def noise(seed, slices=10, side=MIN_PIXELS, low=-1000):
    return np.random.default_rng(seed).integers(low, low + 1800, (slices, side, side)).astype(np.int16)


def write(path, voxels, spacing=2.5, thickness=2.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = Grid(voxels.shape[::-1], np.diag([0.8, 0.8, spacing, 1.0]), 2, thickness)
    files.write(Volume(voxels, grid), path)


@pytest.fixture(name="folder")
def folder_of_scans(tmp_path):
    """Three patients."""
    for number, name in enumerate(("one", "two", "three")):
        write(tmp_path / "scans" / f"{name}.nrrd", noise(number))
    return tmp_path / "scans"


def slanted(seed, slices=9):
    """Slabs of tissue with slanted edges, so that intermediate slices can be predicted from the planes."""
    z, row, column = np.indices((slices, MIN_PIXELS, MIN_PIXELS))
    angle = 1.5 + seed
    hu = 400 * np.sign(np.sin((row + angle * 4 * z) / 15)) + 300 * np.sign(np.sin((column - angle * 3 * z) / 11))
    return (hu - 100 + np.random.default_rng(seed).normal(0, 10, hu.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two patients."""
    folder = tmp_path_factory.mktemp("cohort")
    for name, seed in (("first", 0), ("second", 1)):
        voxels = slanted(seed)
        grid = Grid(voxels.shape[::-1], np.diag([0.8, 0.8, 2.5, 1.0]), 2, 2.5)
        files.write(Volume(voxels, grid), folder / f"{name}.nrrd")
    (folder / "sources.csv").write_text(
        "scan,thickness_mm,source,licence\nfirst,2.0,a phantom,CC0\nsecond,2.5,a phantom,CC0\n"
    )
    return folder


@pytest.fixture
def order(cohort, tmp_path):
    """A training order that takes about a second."""
    step = StepSettings(through_plane_crops=8, axial_crops=3, native_crops=2, axial_size=(32, 32))
    settings = LoopSettings(minutes=None, steps=6, warm_up_steps=2, watch_every=1, exams=2)
    recipe = GapTraining("dense", step=step)
    return Order(
        cohort, tmp_path / "model.pt", tmp_path / "cache", settings, recipe, preset="tiny", holdout=("second",)
    )
