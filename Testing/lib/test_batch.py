"""A folder of studies, from the console and as a script without a main window."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def studies(makeVolume, tmp_path):
    """Two scans, one of them in a subfolder, and two that cannot be used."""
    import slicer

    folder = tmp_path / "studies"
    (folder / "second patient").mkdir(parents=True)
    for name in ("first.nrrd", "second patient/second.nrrd"):
        node = makeVolume(name="scan")
        slicer.util.saveNode(node, str(folder / name))
        slicer.mrmlScene.RemoveNode(node)
    node = makeVolume(spacing=(1.0, 1.0, 1.0))
    slicer.util.saveNode(node, str(folder / "isotropic.nrrd"))
    slicer.mrmlScene.RemoveNode(node)
    (folder / "cut.nrrd").write_bytes(b"NRRD0004\n")
    return folder


def test_every_study_is_processed_and_failures_are_listed(harness, studies, tmp_path, makeVolume):
    import SimpleITK
    from CTSliceSynthesisLib import Batch

    mine = makeVolume(name="mine")
    nodes = harness.slicer.mrmlScene.GetNumberOfNodes()
    said = []
    summary = Batch.increaseFolder(studies, tmp_path / "out", said.append, factor=3, method="cubic")
    assert (summary.done, summary.skipped) == (2, 0)
    assert len(summary.failures) == 2
    assert "cut.nrrd: " in summary.failures[0]
    assert "isotropic.nrrd: The slices are already as close as the pixels" in summary.failures[1]
    assert sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    ) == [
        "first.nrrd",
        "second patient/second.nrrd",
    ]
    before, after = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "first.nrrd")))
        for folder in (studies, tmp_path / "out")
    )
    assert np.array_equal(after[::3], before)
    header = (tmp_path / "out" / "first.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    assert "CTSliceSynthesis.note:=synthesized slices are estimates; for research use" in header
    assert "CTSliceSynthesis.factor:=3" in header
    assert said[0].startswith("1 of 4: ") and said[0].endswith(": failed")
    assert mine.GetScene() is not None
    assert harness.slicer.mrmlScene.GetNumberOfNodes() == nodes
    again = Batch.increaseFolder(studies, tmp_path / "out", said.append, factor=3, method="cubic")
    assert (again.done, again.skipped, len(again.failures)) == (0, 2, 2)
    assert any("cut.nrrd" in line for line in harness.console)  # messages of Slicer's readers
    harness.console.clear()


SCRIPT = """
import sys, pathlib, runpy, slicer_harness
module, batch, *arguments = sys.argv[1:]
harness = slicer_harness.start()
harness.load(pathlib.Path(module))
sys.argv = [batch, *arguments]
runpy.run_path(batch, run_name="__main__")
"""


def test_the_script_runs_without_a_main_window_and_returns_an_exit_status(harness, studies, tmp_path):
    from CTSliceSynthesisLib import Batch

    def run(*arguments):
        paths = [str(Path(importlib.util.find_spec("slicer_harness").origin).parents[1])]
        code = f"import sys; sys.path[:0] = {paths}\n{SCRIPT}"
        module = sys.modules["CTSliceSynthesis"].__file__
        command = [sys.executable, "-c", code, module, Batch.__file__, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=200)

    bad = run(studies, tmp_path / "out", "--factor", 2, "--method", "cubic")
    assert bad.returncode == 3, bad.stderr
    assert bad.stdout.splitlines()[-1] == "2 done, 0 already existed, 2 failed."
    assert "isotropic.nrrd: The slices are already" in bad.stderr
    (studies / "cut.nrrd").unlink()
    (studies / "isotropic.nrrd").unlink()
    good = run(studies, tmp_path / "out", "--factor", 2, "--method", "cubic")
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-1] == "0 done, 2 already existed, 0 failed."
    none = run(tmp_path / "none", tmp_path / "out")
    assert none.returncode == 3
    assert "does not exist" in none.stderr


def test_a_folder_without_scans_is_reported(harness, tmp_path):
    from CTSliceSynthesisLib import Batch

    with pytest.raises(Exception, match="holds no scans"):
        Batch.increaseFolder(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Database:
    """Stub of the DICOM database, which needs the application."""

    def patients(self):
        return ["patient"]

    def studiesForPatient(self, patient):
        return ["study"]

    def seriesForStudy(self, study):
        return ["1.2", "1.3"]


class TemporaryDatabase:
    def __enter__(self):
        return Database()

    def __exit__(self, *arguments):
        return None


@pytest.mark.parametrize(("series", "wanted"), [("1.3#2", ["1.3"]), (None, ["1.2", "1.3"])])
def test_a_dicom_series_is_loaded_through_slicers_database(harness, makeVolume, monkeypatch, tmp_path, series, wanted):
    """DICOMUtils is part of Slicer and not available here: its calls follow its source code, its behavior is not tested."""
    from CTSliceSynthesisLib import Batch

    asked = []

    def load(uids):
        asked.append(uids)
        return [makeVolume(name=uid).GetID() for uid in uids]

    utils = SimpleNamespace(
        TemporaryDICOMDatabase=TemporaryDatabase,
        importDicom=lambda folder, database: True,
        loadSeriesByUID=load,
    )
    monkeypatch.setitem(sys.modules, "DICOMLib", SimpleNamespace(DICOMUtils=utils))
    task = Batch.Task(tmp_path, tmp_path / "out.nrrd", series)
    if len(wanted) == 1:
        with Batch.loadScan(task) as node:
            assert node.GetName() == "1.3"
    else:
        with pytest.raises(RuntimeError, match="2 volumes of it"), Batch.loadScan(task):
            pass
    assert asked == [wanted]
