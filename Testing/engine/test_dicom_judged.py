"""Validation of our DICOM series by dciodvfy (dicom3tools), SimpleITK, dcm2niix and pydicom."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.jobs.increase import increase
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume import files

HEADER = dict(
    StudyDate="20200102", StudyTime="101112", StudyID="7", AccessionNumber="A1", ReferringPhysicianName="",
    PatientBirthDate="19500101", PatientSex="F", SeriesNumber="3", BodyPartExamined="CHEST", PatientPosition="HFS",
    Manufacturer="SIEMENS", KVP="120", AcquisitionNumber="1", PositionReferenceIndicator="", StudyInstanceUID="1.2.3",
)  # fmt: skip
ORIENTATIONS = {
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0, 0, 0, -1), (0, 1, 0)),
    "oblique": ((0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0, 1)),
}
TILT = np.radians(15)


def judged(program, *arguments):
    """Return the output of an external program, which must be installed."""
    assert shutil.which(program), f"{program} is missing: python Testing/debian_packages.py names its package"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def made(tmp_path, **options):
    fields = {"input": str(tmp_path / "in"), "method": "cubic", "factor": 4, "format": "dicom", **options}
    increase(IncreaseRequest(output=str(tmp_path / "out"), **fields), lambda event, **facts: None)
    return tmp_path / "out"


@pytest.fixture
def series(tmp_path, write_dicom_stack):
    """Write a series to `in` and return the folder of its result."""

    def write(orientation="axial", **options):
        axes, step = ORIENTATIONS[orientation]
        places = [tuple(3.7 * n * np.array(step) + (11.23456, -7.654321, 3)) for n in range(5)]
        write_dicom_stack(tmp_path / "in", places, ImageOrientationPatient=list(axes), **HEADER)
        return made(tmp_path, **options)

    return write


def errors_of(folder):
    """Return the error lines of dciodvfy for the files of a result."""
    actual = []
    for path in sorted(folder.rglob("*.dcm")):
        said = judged("dciodvfy", path)
        assert "CTImage" in said  # it was recognized
        actual += [line for line in said.splitlines() if line.startswith("Error")]
    return actual


def test_dciodvfy_finds_no_errors(series, tmp_path):
    folder = series(
        method="three-view",
        model="compact",
        factor=2,
        outputs={"expected_error": str(tmp_path / "out" / "expected_error")},
    )
    assert len(list(folder.rglob("*.dcm"))) == 18
    assert not errors_of(folder)


def test_dciodvfy_finds_no_errors_for_a_minimal_source(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path / "in", [(0, 0, 5.0 * n) for n in range(3)])
    assert not errors_of(made(tmp_path))


def test_dciodvfy_finds_no_errors_without_a_dicom_source(tmp_path, make_scan):
    files.write(make_scan((9, 8, 4), dtype=np.float32), tmp_path / "ct.nrrd")
    named = {"patient_id": "P1", "patient_name": "Müller^Jürgen"}
    assert not errors_of(made(tmp_path, input=str(tmp_path / "ct.nrrd"), **named))


def test_dciodvfy_does_find_errors(series):
    path = sorted(series().glob("*.dcm"))[0]
    image = pydicom.dcmread(path)
    del image.RescaleSlope
    image.save_as(path)
    assert len(errors_of(path.parent)) == 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_simpleitk_reads_the_same_geometry_and_hu(series, orientation):
    folder = series(orientation)
    volume = files.read(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    assert len(names) == 17
    image = sitk.ReadImage(names)
    for index in [(0, 0, 0), (6, 5, 16), (1, 2, 3)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        near = np.rint(np.linalg.solve(volume.grid.matrix, [*(lps * [-1, -1, 1]), 1])[:3]).astype(int)
        np.testing.assert_allclose(volume.grid.ras(near), lps * [-1, -1, 1], atol=1e-4)
        assert image[index] == volume.voxels[tuple(near[::-1])]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_dcm2niix_converts_it_to_the_same_volume(series, orientation, tmp_path):
    folder = series(orientation)
    (tmp_path / "nifti").mkdir()
    judged("dcm2niix", "-f", "made", "-o", tmp_path / "nifti", folder)
    assert sorted(path.name for path in (tmp_path / "nifti").iterdir()) == ["made.json", "made.nii"]
    volume, other = files.read(folder), files.read(tmp_path / "nifti" / "made.nii", slice_axis=2)
    assert sorted(other.grid.size) == sorted(volume.grid.size)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in other.grid.size])).reshape(3, -1).T
    for ijk in corners:
        ras = other.grid.ras(ijk)
        near = np.rint(np.linalg.solve(volume.grid.matrix, [*ras, 1])[:3]).astype(int)
        np.testing.assert_allclose(volume.grid.ras(near), ras, atol=1e-4)
        assert other.voxels[tuple(ijk[::-1])] == volume.voxels[tuple(near[::-1])]
    told = json.loads((tmp_path / "nifti" / "made.json").read_text())
    assert told["SeriesDescription"] == "thick x4 synthesized, research use"


def test_pydicom_and_simpleitk_read_the_position_of_each_slice_of_a_tilted_scan(tmp_path, write_dicom_stack):
    axes = [1, 0, 0, 0, np.cos(TILT), -np.sin(TILT)]
    places = [(1.5, 2.5, 5.0 * n) for n in range(4)]
    tags = {"GantryDetectorTilt": "15", "ImageOrientationPatient": axes}
    write_dicom_stack(tmp_path / "in", places, **HEADER, **tags)
    folder, thick = made(tmp_path), files.read(tmp_path / "in")
    fine = thick.grid.refined(4)
    assert not errors_of(folder)
    assert files.read_header(folder).grid.matches(fine, tolerance=1e-4)
    assert files.read_header(folder).grid.tilt_degrees == pytest.approx(15, abs=1e-3)
    for path in folder.glob("*.dcm"):
        image, other = pydicom.dcmread(path), sitk.ReadImage(str(path))
        index = image.InstanceNumber - 1
        lps = fine.ras((0, 0, index)) * [-1, -1, 1]
        np.testing.assert_allclose([float(value) for value in image.ImagePositionPatient], lps, atol=1e-4)
        np.testing.assert_allclose(other.GetOrigin(), lps, atol=1e-4)
        corner = fine.ras((6, 5, index)) * [-1, -1, 1]
        np.testing.assert_allclose(other.TransformIndexToPhysicalPoint((6, 5, 0)), corner, atol=1e-4)
        assert image.GantryDetectorTilt == 15
        assert image.SpacingBetweenSlices == pytest.approx(1.25 * np.cos(TILT), abs=1e-6)
        hu = image.pixel_array * image.RescaleSlope + image.RescaleIntercept
        assert np.array_equal(hu, sitk.GetArrayFromImage(other)[0])


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_a_volume_of_another_format_keeps_its_geometry_along_any_slice_axis(tmp_path, make_volume, slice_axis):
    spacing = [0.7, 0.8, 0.9]
    spacing[slice_axis] = 5.0
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    thick = make_volume(spacing=spacing, directions=axes)
    files.write(thick, tmp_path / "ct.nrrd")
    folder = made(tmp_path, input=str(tmp_path / "ct.nrrd"), patient_id="P", patient_name="N", factor=2)
    assert not errors_of(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    assert len(names) == 2 * thick.grid.size[slice_axis] - 1
    for ijk in [(0, 0, 0), (6, 0, 4), (0, 5, 4), (3, 2, 1)]:
        lps = thick.grid.ras(ijk) * [-1, -1, 1]
        index = image.TransformPhysicalPointToContinuousIndex(lps.tolist())
        np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
        assert image[[round(value) for value in index]] == thick.voxels[ijk[::-1]]


@pytest.mark.parametrize(
    ("beside", "thickness"),
    [(None, 5.0), ("{", None), ("[1]", None), ('{"SliceThickness": "thick"}', None), ('{"SliceThickness": 0}', None)],
)
def test_the_json_sidecar_of_dcm2niix_gives_the_slice_thickness(tmp_path, write_dicom_stack, beside, thickness):
    write_dicom_stack(tmp_path / "in", [(0, 0, 6.0 * n) for n in range(3)], **HEADER)
    judged("dcm2niix", "-f", "ct", "-z", "y", "-o", tmp_path, tmp_path / "in")
    if beside is not None:
        (tmp_path / "ct.json").write_text(beside)
    assert files.read_header(tmp_path / "ct.nii.gz").grid.thickness == thickness
