"""Results as derived DICOM series: description of the result, its source, and each slice."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs import provenance
from CTSliceSynthesisEngine.jobs.increase import increase
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.volume import files

COUNT = 6
SOURCE = dict(
    StudyDate="20200102", StudyTime="101112", StudyID="7", AccessionNumber="A1", ReferringPhysicianName="Doctor^Who",
    PatientBirthDate="19500101", PatientSex="F", SeriesNumber="3", BodyPartExamined="CHEST", PatientPosition="HFS",
    Manufacturer="SIEMENS", ManufacturerModelName="Sensation", KVP="120", ConvolutionKernel="B31f",
    AcquisitionNumber="1", PositionReferenceIndicator="", WindowCenter="40", WindowWidth="400",
    XRayTubeCurrent=("200", "200", "210", "220", "230", "240"), InstanceNumber=("6", "5", "4", "3", "2", "1"),
    BitsStored=12, HighBit=11, RescaleIntercept="-1024", Allergies="private to this image",
)  # fmt: skip


def raw(index):
    """Return the stored pixels of a slice: 12 bits unsigned, from -1000 HU on."""
    return (np.arange(42).reshape(6, 7) + 40 * index + 24).astype(np.uint16)


@pytest.fixture
def source(tmp_path, write_dicom_stack):
    """Write a series with 5 mm spacing as a scanner does; the given fields replace the defaults."""

    def write(**fields):
        places = fields.pop("places", [(10.0, -20.0, 5.0 * n) for n in range(COUNT)])
        options = {"pixels": raw, **SOURCE, **fields}
        return write_dicom_stack(tmp_path / "in", places, **options)

    return write


@pytest.fixture
def made(tmp_path):
    """Run a request from `in` to the folder `out` and read its files in name order."""

    def make(out="out", **options):
        fields = {"input": str(tmp_path / "in"), "method": "cubic", "factor": 2, "format": "dicom", **options}
        increase(IncreaseRequest(output=str(tmp_path / out), **fields), lambda event, **facts: None)
        return read_back(tmp_path / out)

    return make


def read_back(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def test_patient_study_and_frame_of_reference_are_kept_and_series_and_instances_are_new(source, made):
    origin = [pydicom.dcmread(path) for path in source()]
    images = made()
    assert len(images) == 11
    for image in images:
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyTime",
                        "AccessionNumber", "FrameOfReferenceUID", "Manufacturer", "PatientPosition", "KVP",
                        "ConvolutionKernel", "WindowCenter", "AcquisitionNumber"):  # fmt: skip
            assert image[keyword].value == origin[0][keyword].value, keyword
        assert "Allergies" not in image
    new = {image.SOPInstanceUID for image in images} | {image.SeriesInstanceUID for image in images}
    assert len(new) == 12
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in new)
    assert all(image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID for image in images)


def test_the_series_states_its_derivation_and_that_it_is_for_research(source, made):
    source()
    image = made(factor=4)[1]
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert image.SeriesDescription == "thick x4 synthesized, research use"
    assert image.SeriesNumber == 301
    assert image.DerivationCodeSequence[0].CodeValue == "113085"
    assert "4 times as many slices by CTSliceSynthesis" in image.DerivationDescription
    assert "estimates; for research use" in image.DerivationDescription
    equipment = image.ContributingEquipmentSequence[0]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Equipment"
    assert equipment.Manufacturer == "CTSliceSynthesis"
    assert image.SpacingBetweenSlices == 1.25


def test_acquired_slices_keep_pixels_and_rescale_of_the_source(source, made):
    origin = sorted((pydicom.dcmread(path) for path in source()), key=lambda image: image.InstanceNumber)
    images = made()
    assert [image.InstanceNumber for image in images] == list(range(1, 12))
    for acquired, own in zip(images[::2], origin, strict=True):
        assert acquired.PixelData == own.PixelData
        for keyword in ("RescaleSlope", "RescaleIntercept", "BitsStored", "HighBit", "PixelRepresentation", "Rows",
                        "Columns", "PixelSpacing", "ImagePositionPatient", "SliceThickness", "XRayTubeCurrent"):  # fmt: skip
            assert acquired[keyword].value == own[keyword].value, keyword
        assert [item.ReferencedSOPInstanceUID for item in acquired.SourceImageSequence] == [own.SOPInstanceUID]
        assert acquired.ImageComments == "This slice was acquired; its pixels are those of its source."


def test_a_new_slice_references_its_two_neighbors_and_inherits_common_elements(source, made):
    origin = sorted((pydicom.dcmread(path) for path in source()), key=lambda image: image.InstanceNumber)
    images = made()
    for index, image in enumerate(images[1::2]):
        neighbours = {own.SOPInstanceUID for own in origin[index : index + 2]}
        assert {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence} == neighbours
        assert image.SliceThickness == 2.5
        assert image.ImageComments == "This slice was synthesized between slices of its source."
        assert (image.RescaleIntercept, image.BitsStored) == (-1024, 12)
    currents = [image.get("XRayTubeCurrent") for image in images[1::2]]
    assert currents == [None, None, None, None, 200]


def test_thinned_slices_and_even_texture_are_recorded(source, made, tiny_weights):
    source()
    images = made(method="three-view", model=str(tiny_weights), acquired="thin", texture="even")
    said = {image.ImageComments for image in images}
    assert said == {
        "This slice was synthesized and replaces a slice of its source.",
        "This slice was synthesized between slices of its source.",
    }
    assert {image.SliceThickness for image in images} == {2.5}
    for words in (
        "Acquired slices were replaced by thin ones.",
        "the noise texture of acquired ones",
        "method three-view, model ",
        "SHA-256 ",
    ):
        assert all(words in image.DerivationDescription for image in images), words
    assert '"acquired": "thin"' in images[0].ContributingEquipmentSequence[0].ContributionDescription
    assert images[0].SeriesDescription == "thick x2 synthesized, even texture, research use"


def test_expected_error_and_disagreement_are_separate_series_in_the_same_folder(source, made, tmp_path):
    source()
    beside = {name: str(tmp_path / "out" / name) for name in ("expected_error", "disagreement")}
    images = made(method="three-view", model="compact", outputs=beside)
    error, disagreement = (read_back(tmp_path / "out" / name) for name in beside)
    assert len(error) == len(disagreement) == len(images) == 11
    assert error[0].SeriesDescription == "thick expected error in HU, x2 synthesized, research use"
    assert error[3].ImageComments == "Not a scan, but the expected error in HU."
    assert len({actual[0].SeriesInstanceUID for actual in (images, error, disagreement)}) == 3
    assert [actual[0].SeriesNumber for actual in (images, error, disagreement)] == [301, 302, 303]
    for actual in (error, disagreement):
        assert {image.FrameOfReferenceUID for image in actual} == {images[0].FrameOfReferenceUID}
        assert not actual[0].pixel_array.any()  # acquired
        assert actual[1].pixel_array.any()
    header = files.read_header(tmp_path / "out" / "expected_error")
    assert header.origin["content"] == "expected error in HU"
    with pytest.raises(SynthesisError, match="holds the expected error in HU") as caught:
        made("again", input=str(tmp_path / "out" / "expected_error"), only_ct=True)
    assert caught.value.reason == "not-ct"


def test_uids_depend_on_seed_and_pixels(source, made):
    source()

    def uids(out, **options):
        return [(image.SeriesInstanceUID, image.SOPInstanceUID) for image in made(out, **options)]

    first = uids("a", uid_seed="x")
    assert uids("b", uid_seed="x") == first
    others = [
        uids("c", uid_seed="y"), uids("d"), uids("e"), uids("f", uid_seed="x", method="linear", factor=3),
    ]  # fmt: skip
    everything = [uid for actual in (first, *others) for uid in {uid for pair in actual for uid in pair}]
    assert len(everything) == len(set(everything))


def test_values_out_of_range_of_the_source_bits_take_more_bits_in_that_slice_only(source, made):
    """Cubic interpolation overshoots 3071 HU between slices at the top of the 12-bit range."""

    def steps(index):
        return (
            np.full((6, 7), 4095 if index in (2, 3) else 1000, np.uint16)
            - np.arange(42, dtype=np.uint16).reshape(6, 7) % 3
        )

    source(pixels=steps)
    images = made()
    bits = [image.BitsStored for image in images]
    assert bits.count(16) == 1
    swung = images[bits.index(16)]
    assert swung.pixel_array.max() > 4095
    assert (swung.RescaleIntercept, swung.HighBit) == (-1024, 15)


def test_fractional_rescale_gives_the_original_stored_values(source, made):
    origin = sorted((pydicom.dcmread(path) for path in source(RescaleSlope="0.37", RescaleIntercept="-1000.5")),
                    key=lambda image: image.InstanceNumber)  # fmt: skip
    images = made()
    assert [image.PixelData for image in images[::2]] == [image.PixelData for image in origin]
    assert images[1].RescaleSlope == 0.37


def test_frames_of_an_enhanced_file_become_single_images_referencing_their_frame(tmp_path, write_dicom_frames, made):
    path = write_dicom_frames(tmp_path / "in" / "enhanced.dcm", [(0, 0, 5.0 * n) for n in range(4)])
    stored = pydicom.dcmread(path).pixel_array
    images = made()
    assert len(images) == 7
    for frame, image in enumerate(images[::2]):
        (item,) = image.SourceImageSequence
        assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2.1"
        assert (item.ReferencedSOPInstanceUID, item.ReferencedFrameNumber) == ("1.2.6.1", frame + 1)
        assert np.array_equal(image.pixel_array, stored[frame])
        assert image.RescaleIntercept == -24
        assert image.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def test_resampled_slices_are_not_marked_as_acquired(source, made):
    source(places=[(0, 0, z) for z in (0, 5, 10, 16, 20, 25)])
    images = made(resample_irregular=True)
    places = [float(image.ImagePositionPatient[2]) for image in images if "was acquired" in image.ImageComments]
    assert 15.0 not in places
    assert {0.0, 25.0} <= set(places)
    assert len([image for image in images if len(image.SourceImageSequence) == 2]) >= 6


def test_for_other_formats_the_patient_is_given_by_the_user(tmp_path, make_scan, made):
    files.write(make_scan(thickness=5.0), tmp_path / "ct.nrrd")
    named = {"input": str(tmp_path / "ct.nrrd"), "patient_id": "P1", "patient_name": "Müller^Jürgen", "uid_seed": "s"}
    images = made(**named)
    assert len(images) == 23
    assert {(image.PatientID, str(image.PatientName)) for image in images} == {("P1", "Müller^Jürgen")}
    assert {image.SliceThickness for image in images[::2]} == {5.0}
    assert len({(image.StudyInstanceUID, image.FrameOfReferenceUID) for image in images}) == 1
    assert images[0].PatientBirthDate == images[0].StudyDate == images[0].AccessionNumber == ""
    assert "SourceImageSequence" not in images[0]
    again = made("again", **named, study_uid="1.2.840.1")
    assert {image.StudyInstanceUID for image in again} == {"1.2.840.1"}


def test_our_reader_recognizes_the_series_and_its_provenance(source, made, tmp_path):
    source()
    made()
    request = IncreaseRequest(input=str(tmp_path / "in"), output="", method="cubic", factor=2)
    header = files.read_header(tmp_path / "out")
    assert (header.origin["method"], header.origin["factor"]) == ("cubic", "2")
    assert not provenance.differences(header.origin, provenance.marks(request))
    assert any("is a result of CTSliceSynthesis (cubic, x2)" in warning for warning in header.warnings)
    with pytest.raises(SynthesisError, match="is a result of CTSliceSynthesis already") as caught:
        made("again", input=str(tmp_path / "out"), only_ct=True)
    assert caught.value.reason == "not-ct"
    assert not Path(tmp_path / "again").exists()


def test_results_derived_from_results_do_not_mark_slices_as_acquired(source, made, tmp_path):
    source()
    first = made()
    second = made("twice", input=str(tmp_path / "out"))
    assert len(second) == 21
    assert [image.PixelData for image in second[::2]] == [image.PixelData for image in first]
    assert [image.SliceThickness for image in second[:5]] == [5, None, 2.5, None, 5]
    assert not any("was acquired" in image.ImageComments for image in second)
    assert second[0].ImageComments == ("This slice is an unchanged slice of its source, which was partly synthesized.")
    assert len(second[0].ContributingEquipmentSequence) == 2


def test_compressed_pixels_are_written_uncompressed_and_unchanged(source, made):
    paths = source()
    stored = []
    for path in paths:
        image = pydicom.dcmread(path)
        stored.append(image.pixel_array)
        image.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        image.save_as(path)
    images = made()
    assert {image.file_meta.TransferSyntaxUID for image in images} == {pydicom.uid.ExplicitVRLittleEndian}
    assert np.array_equal([image.pixel_array for image in images[::-2]], stored)


def test_a_truncated_provenance_still_identifies_the_series(source, made, tmp_path):
    source()
    made()
    for path in sorted((tmp_path / "out").glob("*")):
        image = pydicom.dcmread(path)
        image.ContributingEquipmentSequence[0].ContributionDescription = '{"method": "cu'
        image.save_as(path)
    assert files.read_header(tmp_path / "out").origin == {"note": '{"method": "cu'}


def test_an_exact_spacing_references_the_source_slices_and_keeps_coinciding_ones(source, made):
    origin = [pydicom.dcmread(path) for path in source()]
    images = sorted(made(factor=None, spacing=2.0, exact=True), key=lambda image: image.ImagePositionPatient[2])
    assert len(images) == 13
    acquired = [n for n, image in enumerate(images) if image.ImageComments.startswith("This slice was acquired")]
    assert acquired == [0, 5, 10]
    for n, k in zip(acquired, (0, 2, 4), strict=True):
        assert np.array_equal(images[n].pixel_array, origin[k].pixel_array)
        assert [item.ReferencedSOPInstanceUID for item in images[n].SourceImageSequence] == [origin[k].SOPInstanceUID]
    around = [item.ReferencedSOPInstanceUID for item in images[4].SourceImageSequence]
    assert around == [origin[1].SOPInstanceUID, origin[2].SOPInstanceUID]
    assert np.allclose(np.diff([image.ImagePositionPatient[2] for image in images]), 2.0)
    assert "x2.5 synthesized" in images[0].SeriesDescription
