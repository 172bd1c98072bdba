"""Export of an existing result as a DICOM series: identical to a direct DICOM result, or refused."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.export_dicom import export
from CTSliceSynthesisEngine.jobs.export_request import ExportRequest
from CTSliceSynthesisEngine.jobs.increase import increase
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume import files

PLACES = [(3.0, 4.0, 5.0 * n) for n in range(5)]
NAMED = {"patient_id": "P", "patient_name": "N"}
NOW = ("Date", "Time", "ContributionDateTime")


def quiet(event, **facts):
    return None


@pytest.fixture
def thick(tmp_path, write_dicom_stack):
    """The folder of a series."""
    write_dicom_stack(tmp_path / "in", PLACES, SeriesNumber="3", RescaleIntercept="-24")
    return tmp_path / "in"


@pytest.fixture
def thin(tmp_path, thick):
    """Create a result from the series or from another scan."""

    def make(name="thin.nrrd", **options):
        fields = {"input": str(thick), "method": "cubic", "factor": 2, **options}
        increase(IncreaseRequest(output=str(tmp_path / name), **fields), quiet)
        return str(tmp_path / name)

    return make


def exported(tmp_path, result, **options):
    export(ExportRequest(input=result, output=str(tmp_path / "out"), **options), quiet)
    return [pydicom.dcmread(path) for path in sorted((tmp_path / "out").glob("*.dcm"))]


def refused(tmp_path, word, result, reason="bad-input", **options):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SynthesisError, match=word) as caught:
        exported(tmp_path, result, **options)
    assert caught.value.reason == reason
    assert sorted(tmp_path.rglob("*")) == before


def told(image):
    """Return all elements of an image except creation times."""
    return {
        element.tag: str(element.value)
        for element in image.iterall()
        if element.VR != "SQ" and (not element.keyword.endswith(NOW) or element.keyword.startswith("Study"))
    }


def test_the_series_equals_that_written_by_increase(tmp_path, thick, thin):
    increase(
        IncreaseRequest(str(thick), str(tmp_path / "made"), 2, method="cubic", format="dicom", uid_seed="s"), quiet
    )
    made = [pydicom.dcmread(path) for path in sorted((tmp_path / "made").glob("*.dcm"))]
    again = exported(tmp_path, thin(), source=str(thick), uid_seed="s")
    assert len(again) == 9
    assert [told(image) for image in again] == [told(image) for image in made]
    assert [image.PixelData for image in again] == [image.PixelData for image in made]


def test_a_list_of_files_can_be_the_source(tmp_path, thick, thin):
    paths = sorted(thick.iterdir())
    (tmp_path / "files.txt").write_text("\n".join(map(str, reversed(paths))) + "\n")
    images = exported(tmp_path, thin(), source=str(tmp_path / "files.txt"))
    assert images[0].PatientID == "S3CR3T"
    assert images[0].SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(paths[0]).SOPInstanceUID


def test_a_result_with_reversed_slices_gives_the_same_series(tmp_path, thick, thin):
    result = thin()
    image = sitk.ReadImage(result)
    turned = sitk.Flip(image, [False, False, True])
    for key in image.GetMetaDataKeys():
        if key.startswith("CTSliceSynthesis."):
            turned.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(turned, result)
    assert files.read_header(result).grid.is_left_handed
    images = exported(tmp_path, result, source=str(thick))
    acquired = {
        float(image.ImagePositionPatient[2]): image for image in images if "was acquired" in image.ImageComments
    }
    assert sorted(acquired) == [0, 5, 10, 15, 20]
    for path in thick.iterdir():
        own = pydicom.dcmread(path)
        assert acquired[float(own.ImagePositionPatient[2])].PixelData == own.PixelData


def test_without_a_source_the_patient_is_named_and_slices_run_along_the_axis_of_the_scan(tmp_path, make_volume, thin):
    scan = make_volume((5, 6, 7), spacing=(4.0, 0.9, 0.8), slice_axis=0, thickness=4.0)
    files.write(scan, tmp_path / "sagittal.nrrd")
    result = thin(input=str(tmp_path / "sagittal.nrrd"), factor=8)  # spacing below the pixel spacing
    refused(tmp_path, "does not say who that is", result, "bad-option")
    images = exported(tmp_path, result, **NAMED)
    assert len(images) == 33
    assert [image.SliceThickness for image in images[:3]] == [4.0, 0.5, 0.5]
    hu = np.stack([image.pixel_array for image in images[::8]])
    assert np.array_equal(hu, np.moveaxis(scan.voxels, 2, 0))


def test_thinned_slices_are_not_marked_as_acquired(tmp_path, thick, thin, tiny_weights):
    made = {"method": "three-view", "model": str(tiny_weights), "acquired": "thin"}
    beside = thin(**made, outputs={"disagreement": str(tmp_path / "spread.nrrd")})
    images = exported(tmp_path, beside, source=str(thick), outputs={"disagreement": str(tmp_path / "spread.nrrd")})
    assert not any("was acquired" in image.ImageComments for image in images)
    assert {image.SliceThickness for image in images} == {2.5}
    assert len(list((tmp_path / "out" / "disagreement").iterdir())) == len(images)


def test_only_results_are_exported(tmp_path, thick, thin, make_scan):
    files.write(make_scan(), tmp_path / "scan.nrrd")
    refused(tmp_path, "is none; give the NRRD or MHA file of a result", str(tmp_path / "scan.nrrd"), **NAMED)
    refused(tmp_path, "is none; give the NRRD or MHA", thin("thin.nii"), **NAMED)
    refused(tmp_path, "thin but scan.nrrd|made with the result, but .*scan.nrrd was not", thin(), **NAMED,
            outputs={"expected_error": str(tmp_path / "scan.nrrd")})  # fmt: skip


def test_invalid_additional_volumes_are_refused(tmp_path, thin):
    refused(tmp_path, "one of disagreement, expected_error, not 'mask'", thin(), "bad-request", outputs={"mask": "x"})


@pytest.mark.parametrize("spacing", [2.0, 1.5])
def test_with_an_exact_spacing_coinciding_slices_are_marked_as_acquired(tmp_path, thick, spacing):
    """The 5 mm gaps have coinciding slices at 0, 10 and 20 mm, or at 0 and 15 mm, depending on the spacing."""
    scan = files.open_scan(thick)
    plan = make_plan(
        scan.header.grid, scan.header.dtype, SynthesisOptions(spacing=spacing, exact=True, method="linear")
    )
    result = synthesize(scan.read(), plan).volume
    facts = {"method": "linear", "factor": str(plan.factor), "slice_axis": "k"}
    header = {f"{files.ORIGIN}{key}": value for key, value in facts.items()}
    files.write(result, tmp_path / "exact.nrrd", header=header)
    images = exported(tmp_path, str(tmp_path / "exact.nrrd"), source=str(thick))
    places = {float(image.ImagePositionPatient[2]) for image in images if "was acquired" in image.ImageComments}
    assert places == {2.0: {0.0, 10.0, 20.0}, 1.5: {0.0, 15.0}}[spacing]
    assert images[1].SeriesDescription == f"thick x{5 / spacing:.4g} synthesized, research use"
    assert files.read_header(tmp_path / "out").grid.matches(plan.output_grid, tolerance=1e-4)


def test_slices_of_a_modified_result_are_not_marked_as_acquired(tmp_path, thick, thin):
    result = thin()
    image = sitk.ReadImage(result)
    image[1, 2, 4] = 77
    sitk.WriteImage(image, result)
    refused(tmp_path, "but slice 5 differs from 1.2.5_002; export the result as it was made", result, source=str(thick))


@pytest.mark.parametrize("shift", [(0, 0, 2.5), (0.7, 0, 0), (0, -30, 0)])
def test_a_series_at_another_position_is_refused_as_source(tmp_path, thin, write_dicom_stack, shift):
    write_dicom_stack(tmp_path / "other", np.array(PLACES) + shift, series="1.2.77")
    refused(tmp_path, "does not lie on those of", thin(), "bad-geometry", source=str(tmp_path / "other"))


def test_invalid_sources_are_refused(tmp_path, thin):
    refused(tmp_path, "The DICOM source .*nowhere does not exist", thin(), source=str(tmp_path / "nowhere"))
    (tmp_path / "files.txt").write_text(thin("other.nrrd"))
    refused(tmp_path, "The list .*files.txt holds no CT images", thin("third.nrrd"), source=str(tmp_path / "files.txt"))


def test_the_command_reports_what_was_written(tmp_path, thick, thin, ctslices):
    done = ctslices("export", thin(), tmp_path / "out", "--source", thick)
    assert done.returncode == 0, done.stderr
    assert "out: 9 slices, 5 of them acquired." in done.stdout
    assert "for research use" in done.stdout
    again = ctslices("export", tmp_path / "thin.nrrd", tmp_path / "out", "--source", thick)
    assert again.returncode == 6
    assert "exists; give another name, or allow overwriting" in again.stderr
