"""Batches for common pipelines: trees of DICOM studies, BIDS folders, one line of JSON per scan."""

import json
from pathlib import Path

import pydicom
import pytest
from CTSliceSynthesisEngine.jobs.increase_all import find_tasks, increase_all
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume.files import read_header, write

CUBIC = IncreaseRequest(input="", output="", method="cubic", format="dicom")
PLACES = [(0.0, 0.0, 5.0 * n) for n in range(4)]


@pytest.fixture
def studies(tmp_path, write_dicom_stack):
    """Two patients; one study with two series in one folder, one with a series below another."""
    tree = tmp_path / "tree"
    for series in ("1.2.7", "1.2.8"):
        write_dicom_stack(tree / "p1" / "study" / "ct", PLACES, series=series, PatientID="P1")
    write_dicom_stack(tree / "p2", PLACES, series="1.2.9", PatientID="P2")
    write_dicom_stack(tree / "p2" / "late", PLACES, series="1.2.10", PatientID="P2")
    return tree


@pytest.fixture
def bids(tmp_path, make_volume):
    """Two subjects, one with a session, as written by dcm2niix."""
    root = tmp_path / "bids"
    for name in ("sub-01/ses-a/ct/sub-01_ses-a_ct", "sub-02/ct/sub-02_ct"):
        path = root / name
        path.parent.mkdir(parents=True)
        write(make_volume(thickness=None), path.with_name(path.name + ".nii.gz"))
        path.with_name(path.name + ".json").write_text(json.dumps({"Modality": "CT", "SliceThickness": 4}))
    (root / "dataset_description.json").write_text(json.dumps({"Name": "CT", "BIDSVersion": "1.9.0"}))
    return root


def series_below(out):
    """Return folder -> images."""
    actual = {}
    for path in sorted(out.rglob("*.dcm")):
        actual.setdefault(path.parent.relative_to(out).as_posix(), []).append(pydicom.dcmread(path))
    return actual


def test_a_tree_of_studies_keeps_its_folders_and_is_processed_once(studies, tmp_path):
    summary = increase_all(str(studies), str(tmp_path / "out"), CUBIC)
    assert (summary.done, summary.failures) == (4, ())
    actual = series_below(tmp_path / "out")
    assert list(actual) == ["p1/study/ct_1.2.7", "p1/study/ct_1.2.8", "p2/late", "p2_dicom"]
    assert {folder: images[0].PatientID for folder, images in actual.items()} == {
        "p1/study/ct_1.2.7": "P1", "p1/study/ct_1.2.8": "P1", "p2/late": "P2", "p2_dicom": "P2",
    }  # fmt: skip
    assert all(len(images) == 7 for images in actual.values())
    again = increase_all(str(studies), str(tmp_path / "out"), CUBIC)
    assert (again.done, again.skipped) == (0, 4)
    told = []
    other = IncreaseRequest(**{**vars(CUBIC), "factor": 3})
    failures = increase_all(str(studies), str(tmp_path / "out"), other, 1, told.append).failures
    assert len(failures) == 4
    assert "with other options (method=cubic, not factor=3 method=cubic)" in failures[0]
    assert {(line["status"], line["reason"]) for line in told} == {("failed", "cannot-write")}
    ours = increase_all(str(tmp_path / "out" / "p2"), str(tmp_path / "twice"), CUBIC)
    assert (ours.done, len(ours.left_out), len(ours.failures)) == (0, 1, 0)
    assert not list((tmp_path / "twice").rglob("*.dcm"))


def test_a_bids_folder_gives_dicom_series_with_its_subjects(bids, tmp_path):
    summary = increase_all(str(bids), str(tmp_path / "out"), CUBIC)
    assert (summary.done, summary.failures) == (2, ())
    actual = series_below(tmp_path / "out")
    assert {folder: images[0].PatientID for folder, images in actual.items()} == {
        "sub-01/ses-a/ct/sub-01_ses-a_ct": "sub-01",
        "sub-02/ct/sub-02_ct": "sub-02",
    }
    images = actual["sub-02/ct/sub-02_ct"]
    assert str(images[0].PatientName) == "sub-02"
    assert (images[0].SliceThickness, images[1].SliceThickness) == (4, 4)  # the first from the JSON sidecar
    assert len({images[0].StudyInstanceUID for images in actual.values()}) == 2


def test_a_file_outside_bids_folders_needs_an_explicit_patient(tmp_path, make_volume):
    (tmp_path / "in").mkdir()
    write(make_volume(), tmp_path / "in" / "subject.nrrd")
    (failure,) = increase_all(str(tmp_path / "in"), str(tmp_path / "out"), CUBIC).failures
    assert "does not say who that is: give --patient-id and --patient-name" in failure
    named = IncreaseRequest(**{**vars(CUBIC), "patient_id": "P", "patient_name": "N"})
    assert increase_all(str(tmp_path / "in"), str(tmp_path / "out"), named).done == 1


def test_name_clashes_are_resolved_for_folders(tmp_path, make_scan, write_dicom_stack):
    for name in ("scan.nrrd", "scan.mha", "SCAN.nii.gz"):
        write(make_scan((8, 7, 4)), tmp_path / name)
    write_dicom_stack(tmp_path / "scan", PLACES)
    tasks = find_tasks(tmp_path, tmp_path / "out", "dicom")
    names = {task.source.name: task.output.name for task in tasks}
    assert names == {
        "scan.nrrd": "scan_nrrd", "scan.mha": "scan_mha", "SCAN.nii.gz": "SCAN_nii_gz", "scan": "scan_dicom",
    }  # fmt: skip


def test_one_line_of_json_is_written_per_scan(bids, tmp_path, ctslices):
    (bids / "sub-03.nrrd").write_bytes(b"rubbish")
    arguments = ("increase-all", bids, tmp_path / "out", "--method", "cubic", "--format", "dicom", "--json")
    first, second = (ctslices(*arguments) for _ in range(2))
    assert (first.returncode, second.returncode) == (3, 3)
    for done, well in ((first, "done"), (second, "skipped")):
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert sorted((Path(line["input"]).name, line["status"]) for line in lines) == [
            ("sub-01_ses-a_ct.nii.gz", well), ("sub-02_ct.nii.gz", well),
            ("sub-03.nrrd", "failed"),
        ]  # fmt: skip
        (bad,) = [line for line in lines if line["status"] == "failed"]
        assert bad["reason"] == "bad-input" and "sub-03.nrrd" in bad["sentence"]
        for line in lines:
            assert set(line) == {"input", "series", "output", "status", "reason", "sentence", "remarks"}
            if line is not bad:
                assert read_header(line["output"]).origin["method"] == "cubic"
                assert line["reason"] is line["sentence"] is None
        assert f"{2 if well == 'done' else 0} done" in done.stderr
