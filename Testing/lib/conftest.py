"""Fixtures of the module's tests: a fresh scene and panel for each test, real scans, and a check for unnoticed errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE = Path(os.environ.get("MODULE_UNDER_TEST", REPOSITORY / "CTSliceSynthesis" / "CTSliceSynthesis.py"))

# Runs record this machine's speed: keep that out of the user's cache.
os.environ["XDG_CACHE_HOME"] = os.environ["LOCALAPPDATA"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Ignore warnings from Slicer's and Qt's Python code; warnings from our code stay errors."""
    for item in items:
        for theirs in ("PySide6", "slicer", "vtkmodules", "importlib"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{theirs}"))


@pytest.fixture(scope="session")
def application():
    """The harness with the module loaded and a main window."""
    import slicer_harness

    harness = slicer_harness.start()
    harness.slicer.app.openMainWindow()
    harness.load(MODULE)
    harness.completeStartup()
    return harness


@pytest.fixture
def harness(application):
    """The harness with an empty scene; fails the test if a callback raised, the console has output, or anything is left."""
    application.closeScene()
    application.settle()
    application.errors.clear()
    application.console.clear()
    application.forgetAnswers()
    yield application
    left = list(Path(application.slicer.app.temporaryPath).glob("CTSliceSynthesis*"))
    assert not application.errors, application.errors
    assert not application.console, application.console
    assert not left, left


@pytest.fixture
def panel(harness):
    """The module's panel, opened; closed again after the test."""
    select = harness.slicer.util.selectModule
    select("CTSliceSynthesis")
    python = harness.slicer.modules.ctslicesynthesis.widgetRepresentation().self()
    python.advancedPanel.ui.deviceBox.setCurrentIndex(0)
    yield python
    harness.slicer.modules.CTSliceSynthesisWidget.logic.cancel()
    select("")


@pytest.fixture
def logic(harness):
    """A logic, as created by a script."""
    made = sys.modules["CTSliceSynthesis"].CTSliceSynthesisLogic()
    yield made
    made.cancel()


@pytest.fixture
def thickSample(harness):
    """Every fourth slice of the bundled scan, cropped to be quick: a volume node of (26, 64, 72) voxels."""
    return cropped(sys.modules["CTSliceSynthesis"].thickSample(4), 72, 64)


def cropped(node, columns, rows):
    import slicer

    voxels = slicer.util.arrayFromVolume(node)[:, 40 : 40 + rows, 50 : 50 + columns].copy()
    slicer.util.updateVolumeFromArray(node, voxels)
    return node


def volumeNode(size=(24, 20, 8), spacing=(0.7, 0.8, 5.0), directions=None, origin=(-10.0, 20.0, -30.0), **options):
    """A volume node with waves and noise in HU.

    Args:
        size, spacing, origin: along (i, j, k), mm, RAS.
        directions: (3, 3), a column per axis.
        options: "name", "dtype", "seed".
    """
    import slicer

    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else directions) * np.asarray(spacing)
    matrix[:3, 3] = origin
    k, j, i = np.indices(tuple(size)[::-1])
    noise = np.random.default_rng(options.get("seed", 0)).normal(0, 30, k.shape)
    hu = 300 * np.sin(i / 3) * np.cos(j / 4) + 250 * np.sin(k / 2) - 200 + noise
    dtype = np.dtype(options.get("dtype", np.int16))
    hu = np.clip(hu, 0, 120) if dtype.kind == "u" or dtype.itemsize == 1 else hu
    return slicer.util.addVolumeFromArray(hu.astype(dtype), matrix, options.get("name", "scan"))


@pytest.fixture
def makeVolume(harness):
    """`volumeNode`."""
    return volumeNode


WRITE_WEIGHTS = """
import json, sys, torch
from CTSliceSynthesisEngine.networks.checkpoint import Model, save
from CTSliceSynthesisEngine.networks.recipes import PRESETS
path, card, size = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
torch.manual_seed(0)
model = Model.untrained(PRESETS["tiny"])
for network in model.networks.values():
    torch.nn.init.normal_(network.last.weight, std=size) if size else None
model.card = card
save(model, path)
"""


@pytest.fixture(scope="session")
def writeWeights(application):
    """Writes a file of the smallest networks in a child process, to keep PyTorch out of this one."""

    def write(path, card=None, size=0.0):
        """`size` of the random last layers: 0 gives cubic interpolation, 0.1 gives nonsense."""
        environment = {**os.environ, "PYTHONPATH": str(MODULE.parent)}
        arguments = [str(path), json.dumps(card or {}), str(size)]
        subprocess.run([sys.executable, "-c", WRITE_WEIGHTS, *arguments], check=True, env=environment)
        return path

    return write


@pytest.fixture(scope="session")
def tinyWeights(writeWeights, tmp_path_factory):
    """A weights file whose networks return cubic interpolation."""
    return writeWeights(tmp_path_factory.mktemp("weights") / "tiny.pt")


@pytest.fixture
def modelFolder(harness):
    """The model folder: empty, and emptied after the test."""
    from CTSliceSynthesisLib.Setup import ModelFolder

    shutil.rmtree(ModelFolder.folder(), ignore_errors=True)
    yield ModelFolder.folder()
    shutil.rmtree(ModelFolder.folder(), ignore_errors=True)


@pytest.fixture
def pair(harness, panel, logic, makeVolume):
    """A scan and a result with error volumes, selected in the panel; user-defined views with their final sizes."""
    from CTSliceSynthesisLib.Scene import Origin

    slicer = harness.slicer
    before = makeVolume(size=(24, 20, 8))
    after = logic.increaseResolution(before, factor=4, method="cubic")
    for role in (Origin.EXPECTED_ERROR, Origin.DISAGREEMENT):
        doubt = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, after, role)
        Origin.describe(doubt, {Origin.CONTENT: role})
        Origin.refer(after, role, doubt)
    manager = slicer.app.layoutManager()
    manager.resizeArea(1000, 600)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    widget = manager.sliceWidget("Red")
    widget.mrmlSliceCompositeNode().SetForegroundVolumeID(before.GetID())
    widget.mrmlSliceCompositeNode().SetForegroundOpacity(0.3)
    widget.mrmlSliceNode().SetSliceOffset(7.5)
    panel._parameters.afterVolume = after
    panel.sections["Compare"].ui.compareSection.collapsed = False
    harness.settle()
    yield before, after
    section = slicer.modules.CTSliceSynthesisWidget.sections["Compare"]  # of a reloaded panel, too
    section.comparison.leave()
    section.ui.compareSection.collapsed = True
    for box in (section.ui.viewBox, section.ui.overlayBox):
        box.setCurrentIndex(0)
    section.ui.slabBox.value = 0
    section.ui.uninterpolatedBox.checked = False


@pytest.fixture
def steps(monkeypatch):
    """Makes the panel's trainings run for a number of steps instead of minutes."""

    def set(count):
        durationArguments = lambda minutes, steps: ["--steps", str(count)]  # noqa: E731
        monkeypatch.setattr(
            sys.modules["CTSliceSynthesisLib.Processes.Training"], "durationArguments", durationArguments
        )

    return set


@pytest.fixture(scope="session")
def cohort(application, tmp_path_factory):
    """Two parts of the bundled scan, 1.5 mm apart, as the scans of two patients."""
    import SimpleITK

    folder = tmp_path_factory.mktemp("cohort")
    sample = Path(sys.modules["CTSliceSynthesis"].__file__).parent / "Resources/SampleData/ts_body_1p5iso_crop.nrrd"
    image = SimpleITK.ReadImage(str(sample))
    SimpleITK.WriteImage(image[20:120, 20:120, :12], str(folder / "first.nrrd"))
    SimpleITK.WriteImage(image[20:120, 20:120, 60:72], str(folder / "second.nrrd"))
    return folder


@pytest.fixture
def chest(harness):
    """Every fourth slice of the bundled scan, cropped to the minimum size for training."""
    import slicer

    node = sys.modules["CTSliceSynthesis"].thickSample(4)
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[:12, 20:120, 20:120].copy())
    node.SetName("chest")
    return node


@pytest.fixture
def trainUi(panel, modelFolder):
    """The widgets of the section Train, unfolded, with no training left."""
    found = panel.sections["Train"].ui
    found.trainSection.collapsed = False
    found.learnFromBox.setCurrentIndex(0)
    found.cohortEdit.text, found.nameEdit.text = "", "mine"
    for box in (found.recipeBox, found.startBox):
        box.setCurrentIndex(0)
    found.curvesBox.checked = False
    panel._parameters.Modified()
    yield found
    panel.logic.training.cancel()
    found.curvesBox.checked = False
    found.trainSection.collapsed = True
