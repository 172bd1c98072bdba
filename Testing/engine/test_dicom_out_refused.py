"""DICOM series that cannot be written: one sentence, no files left or changed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from CTSliceSynthesisEngine import whole_file, whole_folder
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase import increase
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.dicom import dicom_series

PLACES = [(0.0, 0.0, 5.0 * n) for n in range(4)]
NAMED = {"patient_id": "P1", "patient_name": "N"}


def run(tmp_path, **options):
    fields = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out"), "method": "cubic", "format": "dicom"}
    increase(IncreaseRequest(**{**fields, **options}), lambda event, **facts: None)


def refused(tmp_path, reason, word, **options):
    """Return the message of a refused run, which leaves no files and does not name the patient."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SynthesisError, match=word) as caught:
        run(tmp_path, **options)
    assert caught.value.reason == reason
    assert sorted(tmp_path.rglob("*")) == before
    assert not [secret for secret in ("Secret", "S3CR3T", "OTHER") if secret in str(caught.value)]
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def scan(tmp_path, make_scan):
    """A file that is not DICOM."""
    files.write(make_scan((8, 7, 4)), tmp_path / "ct.nrrd")
    return {"input": str(tmp_path / "ct.nrrd")}


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("PatientName", ("Secret^Name", "Secret^Name", "OTHER", "Secret^Name")),
        ("PatientBirthDate", ("19500101", None, None, None)),
        ("StudyInstanceUID", ("1.2.3", "1.2.3", "1.2.3", "1.2.33")),
        ("AccessionNumber", ("", "", "OTHER", "")),
    ],
)
def test_an_incompletely_anonymized_study_is_refused(tmp_path, write_dicom_stack, keyword, values):
    write_dicom_stack(tmp_path / "in", PLACES, **{keyword: values})
    sentence = refused(tmp_path, "bad-input", f"in its {keyword}, as after an incomplete anonymization")
    assert "1.2.5_00" in sentence  # the files


def test_slices_of_two_patients_are_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", PLACES, PatientID=("S3CR3T", "", "", ""))
    refused(tmp_path, "bad-geometry", "must have the same patient")


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_elements_that_archives_need_are_reported(tmp_path, write_dicom_stack, keyword, value):
    write_dicom_stack(tmp_path / "in", PLACES, **{keyword: value})
    refused(tmp_path, "bad-input", f"needs the {keyword} of its source, but in the file .*1.2.5_000 it is missing")


def test_an_invalid_uid_is_refused(tmp_path, write_dicom_stack):
    paths = write_dicom_stack(tmp_path / "in", PLACES)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"1.2.3\0", b"ANON\0\0"))
        assert b"ANON" in path.read_bytes()
    refused(tmp_path, "bad-input", "needs the StudyInstanceUID of its source, but .* it is not a UID")


def test_duplicate_uids_are_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", PLACES, SOPInstanceUID=("1.2.5.1", "1.2.5.2", "1.2.5.1", "1.2.5.4"))
    refused(tmp_path, "bad-input", "1.2.5_000 and 1.2.5_002 have the same SOPInstanceUID")


def test_missing_values_can_be_given_but_existing_ones_cannot_be_changed(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", PLACES, PatientID="")
    run(tmp_path, patient_id="Müller")
    image = pydicom.dcmread(tmp_path / "out" / "IM_00001.dcm")
    assert (image.PatientID, image.PatientName) == ("Müller", "Secret^Name")
    refused(
        tmp_path, "bad-option", "but the given PatientName differs", patient_name="OTHER", output=str(tmp_path / "b")
    )


@pytest.mark.parametrize("given", [{}, {"patient_id": "P"}, {"patient_name": "N"}])
def test_patient_names_are_required_and_never_made_up(tmp_path, scan, given):
    refused(tmp_path, "bad-option", "does not say who that is: give --patient-id and --patient-name", **scan, **given)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"patient_id": ""}, "--patient-id must be a text of 1 to 64 characters"),
        ({"patient_id": "x" * 65}, "--patient-id must be a text"),
        ({"patient_name": "a\\b"}, "--patient-name must be a text"),
        ({"patient_name": "a\nb"}, "--patient-name must be a text"),
        ({"study_uid": "1.2.x"}, "up to 64 digits and periods, not '1.2.x'"),
        ({"format": "jpeg"}, "The format is one of file, dicom, not 'jpeg'"),
        ({"format": "file", "output": "x.nrrd"}, "add --format dicom"),
    ],
)
def test_values_that_dicom_does_not_allow_are_refused(tmp_path, scan, given, word):
    refused(tmp_path, "bad-option", word, **{**scan, **NAMED, **given})


def test_an_existing_folder_is_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", PLACES)
    (tmp_path / "out").mkdir()
    refused(tmp_path, "cannot-write", "out exists; give another name, or allow overwriting")
    run(tmp_path, overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 7
    run(tmp_path, overwrite=True, factor=3)
    assert len(list((tmp_path / "out").iterdir())) == 10


def test_only_an_earlier_result_is_overwritten(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", PLACES)
    run(tmp_path)
    (tmp_path / "out" / "letter.txt").write_text("to keep")
    refused(tmp_path, "cannot-write", "contains other files", overwrite=True)
    (tmp_path / "out" / "letter.txt").rename(tmp_path / "out" / "IM_00008.dcm")
    refused(tmp_path, "cannot-write", "contains other files", overwrite=True)
    refused(tmp_path, "cannot-write", "contains other files", overwrite=True, output=str(tmp_path))
    refused(tmp_path, "cannot-write", "must not replace the input", overwrite=True, output=str(tmp_path / "in"))


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("out.nrrd", "is named like a file"),
        ("nowhere/out", "does not exist; create it first"),
        ("ct.nrrd/out", "does not exist; create it first"),
        ("plain", "is a file"),
        ("out\udcff", "valid UTF-8"),
    ],
)
def test_invalid_output_folders_are_refused(tmp_path, scan, output, word):
    (tmp_path / "plain").write_text("")
    refused(tmp_path, "cannot-write", word, **scan, **NAMED, output=str(tmp_path / output), overwrite=True)


def test_additional_series_go_into_the_same_folder(tmp_path, scan, tiny_weights):
    beside = {
        "outputs": {"disagreement": str(tmp_path / "elsewhere")},
        "method": "three-view",
        "model": str(tiny_weights),
    }
    refused(
        tmp_path, "cannot-write", "is a series within the DICOM result, .*out/disagreement", **scan, **NAMED, **beside
    )


def test_sheared_planes_are_refused(tmp_path, make_volume, write_dicom_stack):
    sheared = np.array([[1.0, 0.2, 0], [0, 1, 0], [0, 0, 1]])
    files.write(make_volume(directions=sheared / np.linalg.norm(sheared, axis=0)), tmp_path / "ct.mha")
    refused(tmp_path, "bad-geometry", "perpendicular", input=str(tmp_path / "ct.mha"), **NAMED)
    write_dicom_stack(tmp_path / "in", PLACES)
    refused(tmp_path, "bad-option", "another slice axis", axis=0, accept_isotropic=True)


def test_values_beyond_16_bits_are_refused(tmp_path, make_volume):
    voxels = np.arange(210, dtype=np.int32).reshape(5, 6, 7) * 1000 - 1000
    files.write(make_volume(voxels=voxels), tmp_path / "ct.nrrd")
    refused(tmp_path, "cannot-write", "has 16 bits, but the values", input=str(tmp_path / "ct.nrrd"), **NAMED)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_existing_files_unchanged(tmp_path, write_dicom_stack, monkeypatch, overwrite):
    write_dicom_stack(tmp_path / "in", PLACES)
    if overwrite:
        run(tmp_path)
    write, written = dicom_series.write_durable, []

    def full(content, path):
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        write(content, path)

    monkeypatch.setattr(dicom_series, "write_durable", full)
    refused(tmp_path, "cannot-write", "could not be written completely: No space left", overwrite=overwrite, factor=3)
    assert len(list((tmp_path / "out").glob("*"))) == (7 if overwrite else 0)


def test_a_folder_created_by_another_process_in_the_meantime_is_kept(tmp_path, write_dicom_stack, monkeypatch):
    write_dicom_stack(tmp_path / "in", PLACES)
    write = dicom_series.write_durable

    def elsewhere(content, path):
        (tmp_path / "out").mkdir(exist_ok=True)
        write(content, path)

    monkeypatch.setattr(dicom_series, "write_durable", elsewhere)
    with pytest.raises(SynthesisError, match="was created by another process in the meantime"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "in"] == ["out"]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals are a POSIX thing")
@pytest.mark.parametrize("moment", ["aside", "moved"])
def test_a_run_killed_while_replacing_a_folder_loses_neither(tmp_path, moment):
    """The second rename is missing, or the old folder was not removed; the next run cleans up."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    code = f"""
import os, shutil, signal, sys
from pathlib import Path
from CTSliceSynthesisEngine.whole_folder import whole_folder
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with whole_folder(Path({str(tmp_path / "out")!r}), overwrite=True) as part:
    (part / "new").write_text("new")
    rename = Path.rename
    if {moment == "aside"}:
        Path.rename = lambda self, target: (rename(self, target), die())
    else:
        shutil.rmtree = die
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole_file.remove_forgotten(tmp_path)
    assert [actual.name for actual in tmp_path.iterdir()] == ["out"]
    assert [actual.name for actual in (tmp_path / "out").iterdir()] == [{"aside": "old", "moved": "new"}[moment]]


def test_a_failed_write_gives_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_folder.Path, "read_bytes", lambda self: b"other")
    with (
        pytest.raises(OSError, match="differs from the data written"),
        whole_folder.whole_folder(tmp_path / "out", overwrite=False) as part,
    ):
        whole_folder.write_durable(b"this", part / "a")
    assert not list(tmp_path.iterdir())
