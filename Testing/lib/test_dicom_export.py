"""Export of results as DICOM series from scripts: with the headers of the scan's files, or a given patient name."""

import time

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SHAPE = (8, 20, 24)  # (k, j, i) of `makeVolume`


class Database:
    """Stub of the DICOM database, which needs the application."""

    def __init__(self, files):
        self.files = files

    def fileForInstance(self, uid):
        return str(self.files.get(uid, ""))

    def instanceValue(self, uid, tag):
        return "5.0"


def written(folder, voxels):
    """DICOM files on the grid of `makeVolume`, by UID."""
    folder.mkdir()
    found = {}
    for index, pixels in enumerate(voxels):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"1.2.5.{index + 1}"
        meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.5", "1.2.4"
        data.Modality, data.PatientName, data.PatientID, data.SeriesDescription = "CT", "Secret^Name", "S3CR3T", "thick"
        data.PixelSpacing, data.SliceThickness, data.InstanceNumber = [0.8, 0.7], 5, index + 1
        data.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        data.ImagePositionPatient = [10, -20, -30 + 5 * index]
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, -24
        data.PixelData = (pixels + 24).astype(np.int16).tobytes()
        data.save_as(folder / f"{index}.dcm", enforce_file_format=True)
        found[data.SOPInstanceUID] = folder / f"{index}.dcm"
    return found


@pytest.fixture
def scan(harness, makeVolume, tmp_path, monkeypatch):
    """A volume loaded from DICOM files that are in the database."""
    import slicer

    node = makeVolume()
    files = written(tmp_path / "in", slicer.util.arrayFromVolume(node))
    monkeypatch.setattr(slicer, "dicomDatabase", Database(files), raising=False)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    return node


@pytest.fixture
def thin(scan, logic):
    return logic.increaseResolution(scan, factor=4, method="cubic")


def images(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def test_a_result_is_exported_with_the_headers_of_its_scan(thin, logic, tmp_path):
    folder = logic.exportToDICOM(thin, tmp_path / "out")
    found = images(folder)
    assert folder == tmp_path / "out"
    assert len(found) == 29
    assert {(image.PatientID, image.StudyInstanceUID, image.FrameOfReferenceUID) for image in found} == {
        ("S3CR3T", "1.2.3", "1.2.4")
    }
    assert [image.PixelData for image in found[::4]] == [image.PixelData for image in images(tmp_path / "in")]
    assert [image.ImageComments for image in found[:2]] == [
        "This slice was acquired; its pixels are those of its source.",
        "This slice was synthesized between slices of its source.",
    ]
    assert [image.SliceThickness for image in found[:2]] == [5, 1.25]
    assert found[0].SeriesDescription == "thick x4 synthesized, research use"


def test_additional_volumes_are_exported(scan, logic, tmp_path, writeWeights):
    weights = writeWeights(tmp_path / "weights.pt", size=0.1)
    thin = logic.increaseResolution(scan, factor=2, model=str(weights), disagreement=True)
    folder = logic.exportToDICOM(thin, tmp_path / "out", disagreement=True)
    assert len(images(folder / "disagreement")) == len(images(folder)) == 15
    assert images(folder / "disagreement")[0].ImageComments == "Not a scan, but the view disagreement in HU."


def failure(logic, *arguments, **options):
    with pytest.raises(RuntimeError) as caught:
        logic.exportToDICOM(*arguments, **options)
    return caught.value.outcome.sentence


def test_without_dicom_files_the_patient_must_be_given(thin, logic, tmp_path, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer, "dicomDatabase", Database({}), raising=False)
    assert failure(logic, thin, tmp_path / "out") == (
        f"A DICOM series must name its patient, but “{thin.GetName()}” does not say who that is: fill in the patient's"
        " identifier and name."
    )
    assert not (tmp_path / "out").exists()
    found = images(logic.exportToDICOM(thin, tmp_path / "out", patientID="P1", patientName="N", studyUID="1.2.8"))
    assert {(image.PatientID, image.StudyInstanceUID) for image in found} == {("P1", "1.2.8")}
    assert "SourceImageSequence" not in found[0]


def test_invalid_exports_are_refused(thin, scan, logic, tmp_path):
    import slicer

    assert "is not a result of this module" in failure(logic, scan, tmp_path / "out")
    assert failure(logic, None, tmp_path / "out") == "Choose a result of this module."
    assert "The expected error of" in failure(logic, thin, tmp_path / "out", expectedError=True)
    (tmp_path / "out").mkdir()
    assert "exists; give another name, or allow overwriting" in failure(logic, thin, tmp_path / "out")
    slicer.util.arrayFromVolume(thin)[8, 3, 3] += 5
    assert "but slice 9 differs from 2.dcm" in failure(logic, thin, tmp_path / "out", overwrite=True)
    assert not list((tmp_path / "out").iterdir())


def test_an_export_canceled_while_writing_leaves_nothing(harness, logic, makeVolume, tmp_path):
    thin = logic.increaseResolution(makeVolume(size=(24, 20, 60)), factor=8, method="cubic")
    outcomes, options = [], {"patientID": "P", "patientName": "N"}
    logic.exportToDICOM(thin, tmp_path / "out", waitForCompletion=False, onFinished=outcomes.append, **options)
    while not list(tmp_path.rglob("*.dcm")):
        time.sleep(0.002)
    logic.cancel()
    assert outcomes[0].status == "canceled"
    assert not list(tmp_path.iterdir())


def test_an_export_can_be_canceled_and_leaves_nothing(thin, logic, tmp_path):
    outcomes = []
    logic.exportToDICOM(thin, tmp_path / "out", waitForCompletion=False, onFinished=outcomes.append)
    with pytest.raises(RuntimeError, match="Another export is in progress"):
        logic.exportToDICOM(thin, tmp_path / "other")
    logic.cancel()
    assert [outcome.sentence for outcome in outcomes] == ["The export was canceled; nothing was written."]
    assert not (tmp_path / "out").exists()
