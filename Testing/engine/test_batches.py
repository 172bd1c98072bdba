"""Batches over messy folders: name clashes, results of other settings, non-CT files, stray Python modules."""

from pathlib import Path

import numpy as np
import pytest
from CTSliceSynthesisEngine.jobs.increase_all import find_tasks, increase_all
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume.files import read, read_header, write

CUBIC = IncreaseRequest(input="", output="", method="cubic")


def run(folder, out, template=CUBIC, **options):
    return increase_all(str(folder), str(out), template, **options)


def test_scans_with_the_same_name_get_separate_results(tmp_path, make_scan, write_dicom_stack):
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, name in enumerate(("scan.nrrd", "scan.mha", "scan.nii.gz", "SCAN.nii", "other.mha")):
        write(make_scan(seed=seed), folder / name)
    write_dicom_stack(folder / "scan", [(0, 0, 5.0 * n) for n in range(6)])
    tasks = {task.source.name: task.output.name for task in find_tasks(folder, tmp_path / "out")}
    assert len({name.casefold() for name in tasks.values()}) == 6
    assert tasks["other.mha"] == "other.nrrd"
    assert tasks["scan.mha"] == "scan.mha.nrrd"
    assert tasks["scan"] == "scan_dicom.nrrd"
    assert run(folder, tmp_path / "out").done == 6
    for source, output in tasks.items():
        thick = read(folder / source).voxels
        assert np.array_equal(read(tmp_path / "out" / output).voxels[::2], thick)


def test_a_result_of_other_settings_is_not_reused(tmp_path, make_scan):
    folder, out = tmp_path / "scans", tmp_path / "out"
    folder.mkdir()
    write(make_scan(), folder / "scan.nrrd")
    assert run(folder, out).done == 1
    assert run(folder, out).skipped == 1
    other = IncreaseRequest(input="", output="", method="cubic", factor=4)
    (sentence,) = run(folder, out, other).failures
    assert "made with other options (method=cubic, not factor=4 method=cubic)" in sentence
    assert read_header(out / "scan.nrrd").grid.slice_count == 23
    write(make_scan(seed=1), folder / "scan.nrrd", overwrite=True)
    (sentence,) = run(folder, out).failures
    assert "made from another scan, or the scan changed" in sentence
    overwriting = IncreaseRequest(input="", output="", method="cubic", factor=4, overwrite=True)
    assert run(folder, out, overwriting).done == 1
    assert read_header(out / "scan.nrrd").grid.slice_count == 45


def test_non_ct_files_and_own_results_are_skipped_and_reported(tmp_path, make_scan, make_volume, ctslices):
    folder = tmp_path / "scans"
    folder.mkdir()
    write(make_scan(), folder / "ct.nrrd")
    mask = (np.arange(7 * 6 * 5).reshape(5, 6, 7) % 2).astype(np.uint8)
    write(make_volume(voxels=mask), folder / "mask.nrrd")
    write(make_volume(voxels=mask.astype(np.float32) * 900), folder / "pet.nii.gz")
    write(make_scan(), folder / "thin.nrrd", header={"CTSliceSynthesis.method": "cubic"})
    summary = run(folder, tmp_path / "out")
    assert (summary.done, len(summary.failures), len(summary.left_out)) == (1, 0, 3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ct.nrrd"]
    done = ctslices("increase-all", folder, tmp_path / "out", "--method", "cubic")
    assert done.returncode == 0
    assert done.stderr.count("left out: ") == 3


def test_other_modalities_next_to_a_ct_are_not_scans(tmp_path, write_dicom_stack):
    places = [(0, 0, 5.0 * n) for n in range(6)]
    write_dicom_stack(tmp_path / "study" / "ct", places)
    write_dicom_stack(
        tmp_path / "study" / "mr", places, series="1.2.9", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"
    )
    assert [task.source.name for task in find_tasks(tmp_path / "study", tmp_path / "out")] == ["ct"]


def test_warnings_about_a_scan_are_reported(tmp_path, write_dicom_stack, ctslices):
    write_dicom_stack(tmp_path / "ct", [(0, 0, 5.0 * n) for n in range(6)], SliceThickness="5000")
    summary = run(tmp_path / "ct", tmp_path / "out")
    assert any("5000 mm" in remark and str(tmp_path / "ct") in remark for remark in summary.remarks)
    assert "5000 mm" in ctslices("increase-all", tmp_path / "ct", tmp_path / "again", "--method", "cubic").stderr


@pytest.mark.parametrize("name", ["json", "numpy", "CTSliceSynthesisEngine", "runpy"])
def test_modules_in_the_current_folder_are_not_executed(tmp_path, make_scan, name, monkeypatch):
    write(make_scan(), tmp_path / "scan.nrrd")
    (tmp_path / f"{name}.py").write_text("open('executed', 'w').close()\nraise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    summary = run(".", "out")
    assert (summary.done, summary.failures) == (1, ())
    assert not Path("executed").exists()


def test_one_bad_entry_does_not_stop_the_batch(tmp_path, make_scan):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling.nrrd").symlink_to("nowhere")
    (tmp_path / "closed").mkdir(mode=0o000)
    (tmp_path / "bad.nhdr").write_bytes(b"NRRD0004\ndata file: a\0b\n\n")
    (tmp_path / "endless").symlink_to(tmp_path)
    write(make_scan(), tmp_path / "scan.nrrd")
    summary = run(tmp_path, tmp_path / "out")
    assert summary.done == 1
    assert len(summary.failures) == 1 and "bad.nhdr" in summary.failures[0]
