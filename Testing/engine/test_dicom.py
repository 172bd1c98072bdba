"""DICOM folders written slice by slice; positions are LPS in mm, results are RAS."""

import numpy as np
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.dicom import dicom_folder

UPRIGHT = [(10.0, -20.0, 5.0 * n) for n in range(6)]
STACK = (np.arange(6 * 42) - 1000).reshape(6, 6, 7)  # the pixels of UPRIGHT as the builder writes them


def refused(reason, word, path, **options):
    """Return the message of a refusal; it must not name the patient."""
    with pytest.raises(SynthesisError, match=word) as caught:
        files.read(path, **options)
    assert caught.value.reason == reason
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Secret" not in sentence
    assert "S3CR3T" not in sentence
    return sentence


def at(*heights):
    return [(0.0, 0.0, height) for height in heights]


def test_a_folder_is_read_as_a_volume_with_every_pixel_in_place(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    volume = files.read(tmp_path)
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, STACK)
    assert volume.grid.spacing == pytest.approx((0.7, 0.8, 5.0))
    assert (volume.grid.slice_axis, volume.grid.thickness) == (2, 5.0)
    np.testing.assert_allclose(volume.grid.ras((1, 2, 3)), [-10.7, 18.4, 15])  # LPS (10.7, -18.4, 15)


def test_file_names_and_file_order_do_not_matter(tmp_path, write_dicom_stack):
    paths = write_dicom_stack(tmp_path, UPRIGHT)
    for name, path in zip(["c", "a", "ü ß", "e.txt", "b.DCM", "d"], paths, strict=True):
        path.rename(tmp_path / name)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_a_stack_stored_from_top_to_bottom_is_flipped(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT[::-1])
    volume = files.read(tmp_path)
    assert np.array_equal(volume.voxels, STACK[::-1])
    assert volume.grid.origin == pytest.approx((-10, 20, 0))
    assert not volume.grid.is_left_handed


def test_a_single_file_selects_its_series(tmp_path, write_dicom_stack):
    path = write_dicom_stack(tmp_path, UPRIGHT)[2]
    write_dicom_stack(tmp_path, UPRIGHT, series="1.2.99")
    assert np.array_equal(files.read(path).voxels, STACK)


def test_the_header_gives_grid_and_type_without_the_pixels(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    header = files.read_header(tmp_path)
    assert header.grid.matches(files.read(tmp_path).grid)
    assert header.dtype == np.int16


@pytest.mark.parametrize(
    ("orientation", "step"),
    [((1, 0, 0, 0, 0, -1), (0, 1, 0)), ((0, 1, 0, 0, 0, -1), (-1, 0, 0)), ((0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0, 1))],
    ids=["coronal", "sagittal", "oblique"],
)
def test_stacks_of_any_orientation_match_itk(tmp_path, write_dicom_stack, orientation, step):
    positions = [tuple(4.0 * n * np.array(step) + 7) for n in range(5)]
    paths = write_dicom_stack(tmp_path, positions, ImageOrientationPatient=list(orientation))
    image = sitk.ReadImage([str(path) for path in paths])
    grid = files.read(tmp_path).grid
    for index in [(0, 0, 0), (6, 5, 4), (1, 2, 3)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(grid.ras(index), lps * [-1, -1, 1], atol=1e-6)


def test_gantry_tilt_is_kept_as_a_sheared_matrix_and_survives_nrrd_and_mha(tmp_path, write_dicom_stack):
    angle = np.radians(15)
    orientation = [1, 0, 0, 0, np.cos(angle), -np.sin(angle)]  # the planes are tilted, the table moves along S
    write_dicom_stack(tmp_path / "in", at(0, 5, 10, 15), ImageOrientationPatient=orientation)
    volume = files.read(tmp_path / "in")
    assert volume.grid.tilt_degrees == pytest.approx(15, abs=1e-3)
    assert volume.grid.slice_spacing == pytest.approx(5)
    np.testing.assert_allclose(volume.grid.ras((0, 0, 3)), [0, 0, 15], atol=1e-6)
    np.testing.assert_allclose(volume.grid.ras((0, 1, 0)), [0, -0.8 * np.cos(angle), -0.8 * np.sin(angle)], atol=1e-6)
    for name in ("tilted.nrrd", "tilted.mha"):
        files.write(volume, tmp_path / name)
        assert files.read(tmp_path / name).grid.matches(volume.grid, tolerance=1e-6)


def test_rounded_positions_give_neither_tilt_nor_gaps(tmp_path, write_dicom_stack):
    wobble = [0.004, -0.003, 0.005, 0.0, -0.005, 0.002]
    write_dicom_stack(tmp_path, [(w, -w, 1.25 * n + w) for n, w in enumerate(wobble)])
    grid = files.read(tmp_path).grid
    assert grid.tilt_degrees == 0
    assert grid.slice_spacing == pytest.approx(1.25, abs=0.01)


def test_unsigned_pixels_are_rescaled_to_hu_in_int16(tmp_path, write_dicom_stack):
    def raw(index):
        return (STACK[index] + 1024).astype(np.uint16)

    write_dicom_stack(tmp_path, UPRIGHT, pixels=raw, RescaleIntercept="-1024")
    volume = files.read(tmp_path)
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, STACK)


def test_each_slice_is_rescaled_by_its_own_header(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT, RescaleIntercept=("0", "10", "20", "30", "40", "50"))
    assert np.array_equal(files.read(tmp_path).voxels, STACK + 10 * np.arange(6)[:, None, None])


def test_fractions_after_rescaling_are_kept_as_float32(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT, RescaleSlope="0.5", RescaleIntercept="-500")
    volume = files.read(tmp_path)
    assert files.read_header(tmp_path).dtype == volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, STACK * 0.5 - 500)


def test_whole_values_beyond_int16_are_kept_in_int32(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT, RescaleIntercept=("0", "0", "0", "60000", "0", "0"))
    volume = files.read(tmp_path)
    assert volume.voxels.dtype == np.int32
    assert np.array_equal(volume.voxels[3], STACK[3] + 60000)


def test_padding_and_metal_are_unchanged(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT, pixels=lambda n: np.array([[-3024, 30000, n]], np.int16))
    assert files.read(tmp_path).voxels[4].tolist() == [[-3024, 30000, 4]]


@pytest.mark.parametrize(
    ("given", "found"), [("2.5", 2.5), (None, None), ("0", None), (("5", "5", "5", "5", "5", "9"), None)]
)
def test_the_thickness_is_common_to_all_slices_or_unknown(tmp_path, write_dicom_stack, given, found):
    write_dicom_stack(tmp_path, UPRIGHT, SliceThickness=given)
    assert files.read(tmp_path).grid.thickness == found
    assert files.read(tmp_path, thickness=3.0).grid.thickness == 3.0


def test_the_slice_axis_is_that_of_dicom_even_for_thin_slices_unless_chosen(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, at(0, 0.5, 1))
    assert files.read(tmp_path).grid.slice_axis == 2
    assert files.read(tmp_path, slice_axis=0).grid.slice_axis == 0


def test_several_series_are_listed_and_one_is_chosen(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT, series="1.2.5", SeriesDescription="thick")
    write_dicom_stack(tmp_path, at(0, 2, 4), series="1.2.7", SeriesDescription="lung")
    sentence = refused("bad-input", "2 series; choose one", tmp_path)
    assert "1.2.5 (thick, 6 images of 7 x 6, 5 mm apart)" in sentence
    assert "1.2.7 (lung, 3 images of 7 x 6, 2 mm apart)" in sentence
    assert files.read(tmp_path, series="1.2.7").grid.slice_count == 3
    assert "1.2.5" in refused("bad-input", "no series named 1.2.8", tmp_path, series="1.2.8")
    assert [stack.name for stack in dicom_folder.inspect_folder(tmp_path).stacks] == ["1.2.5", "1.2.7"]


def test_a_list_of_series_stays_short(tmp_path, write_dicom_stack):
    for number in range(12):
        write_dicom_stack(tmp_path, at(0, 5), series=f"1.2.{number + 10}")
    assert refused("bad-input", "12 series", tmp_path).count("mm apart") == 8


def test_scouts_reports_duplicates_and_other_files_are_ignored(tmp_path, write_dicom_stack):
    from pydicom.uid import BasicTextSRStorage

    paths = write_dicom_stack(tmp_path, UPRIGHT)
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_dicom_stack(tmp_path, at(0, 90), series="1.2.80", ImageType=scout)
    write_dicom_stack(tmp_path, at(-50), first=90, ImageType=scout)  # one within the series
    write_dicom_stack(tmp_path, at(0), series="1.2.81")  # a series of one image
    (report,) = write_dicom_stack(
        tmp_path, at(0), series="1.2.82", SOPClassUID=BasicTextSRStorage, Rows=None, PixelData=None
    )
    report.write_bytes(report.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.88"))
    (tmp_path / "copy of a slice").write_bytes(paths[3].read_bytes())
    (tmp_path / "notes.txt").write_bytes(b"hello")
    (tmp_path / "empty").write_bytes(b"")
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_an_image_without_a_position_is_ignored(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    write_dicom_stack(tmp_path, at(0, 5), series="1.2.83", ImagePositionPatient=None)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_color_images_are_ignored(tmp_path, write_dicom_stack):
    colour = dict(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8)
    colour |= dict(BitsStored=8, HighBit=7, PixelRepresentation=0, PixelData=bytes(6 * 7 * 3))
    write_dicom_stack(tmp_path, at(0, 5), series="1.2.84", **colour)
    refused("bad-input", "no CT images", tmp_path)
    write_dicom_stack(tmp_path, UPRIGHT)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("AcquisitionNumber", (2, 10)), ("TriggerTime", ("0", "450.5")), ("ConvolutionKernel", ("B30f", "B70f"))],
)
def test_phases_at_the_same_positions_are_separated_by_a_tag(tmp_path, write_dicom_stack, keyword, values):
    write_dicom_stack(tmp_path, UPRIGHT, **{keyword: values[0]})
    write_dicom_stack(
        tmp_path, UPRIGHT, first=50, pixels=lambda n: (STACK[n] + 500).astype(np.int16), **{keyword: values[1]}
    )
    assert "1.2.5#2" in refused("bad-input", "2 series", tmp_path)
    assert np.array_equal(files.read(tmp_path, series="1.2.5#1").voxels, STACK)
    assert np.array_equal(files.read(tmp_path, series="1.2.5#2").voxels, STACK + 500)


def test_phases_that_no_tag_distinguishes_are_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    write_dicom_stack(tmp_path, UPRIGHT, first=50)
    refused("bad-input", "several images at 6 of its positions", tmp_path)


def test_a_missing_slice_is_refused_with_its_position(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, at(0, 5, 10, 20, 25))
    refused("bad-geometry", "most are 5 mm apart, with 10 mm between slices 3 and 4; ", tmp_path)


def test_the_list_of_gaps_stays_short(tmp_path, write_dicom_stack):
    heights = np.cumsum([2.0, *[1, 1, 3] * 15])
    sentence = refused("bad-geometry", "and 7 more", tmp_path_with(write_dicom_stack, tmp_path, heights))
    assert sentence.count("between") == 8


def tmp_path_with(write_dicom_stack, folder, heights):
    write_dicom_stack(folder, at(*heights))
    return folder


def test_small_gap_errors_must_not_accumulate(tmp_path, write_dicom_stack):
    heights = np.cumsum([0.0] + [5.0] * 20 + [5.09] * 20)
    refused("bad-geometry", "drift from 5 to 5.09 mm", tmp_path_with(write_dicom_stack, tmp_path, heights))


def test_irregular_slices_are_resampled_linearly_on_request_with_a_warning(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, at(0, 5, 10, 20, 25))
    volume = files.read(tmp_path, resample_irregular=True)
    assert volume.grid.slice_spacing == pytest.approx(5)
    expected = np.stack([STACK[0], STACK[1], STACK[2], (STACK[2] + STACK[3]) / 2, STACK[3], STACK[4]])
    assert np.array_equal(volume.voxels, np.rint(expected))
    assert volume.voxels.dtype == np.int16
    (warning,) = volume.warnings
    assert "5 were resampled linearly to 6, 5 mm apart" in warning
    assert files.read_header(tmp_path, resample_irregular=True).warnings == (warning,)


def test_regular_slices_are_not_resampled_even_on_request(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    volume = files.read(tmp_path, resample_irregular=True)
    assert np.array_equal(volume.voxels, STACK)
    assert volume.warnings == ()


def test_slices_that_jump_sideways_are_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, [(0, 0, 0), (0, 0, 5), (3, 0, 10), (0, 0, 15)])
    refused("bad-geometry", "shifted sideways", tmp_path)


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("pixel spacing", dict(PixelSpacing=(["0.8", "0.7"],) * 3 + (["0.9", "0.7"],))),
        ("orientation", dict(ImageOrientationPatient=([1, 0, 0, 0, 1, 0],) * 3 + ([1, 0, 0, 0, 0.995, 0.0998],))),
        ("size", dict(pixels=lambda n: np.full((6, 7 if n < 3 else 8), n, np.int16))),
    ],
)
def test_images_that_differ_within_a_series_are_refused(tmp_path, write_dicom_stack, what, fields):
    write_dicom_stack(tmp_path, at(0, 5, 10, 15), **fields)
    refused("bad-geometry", f"the same {what}", tmp_path)


def test_a_single_image_is_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, at(0))
    refused("bad-input", "At least two slices are needed", tmp_path)


def test_a_folder_with_only_a_scout_is_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, at(0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    refused("bad-input", "but 1 x scout", tmp_path)


@pytest.mark.parametrize("length", [0.5, 0.95, 0.999])
def test_a_truncated_slice_is_refused_rather_than_ignored(tmp_path, write_dicom_stack, length):
    path = write_dicom_stack(tmp_path, UPRIGHT)[-1]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * length)])
    assert str(path) in refused("bad-input", "cut short or damaged", tmp_path)


def test_an_empty_file_called_dicom_is_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, UPRIGHT)
    (tmp_path / "007.dcm").write_bytes(b"")
    refused("bad-input", "007.dcm is empty", tmp_path)


def test_the_frames_of_an_enhanced_file_become_slices(tmp_path, write_dicom_frames):
    write_dicom_frames(tmp_path / "enhanced.dcm", UPRIGHT)
    for path in (tmp_path, tmp_path / "enhanced.dcm"):
        volume = files.read(path)
        assert np.array_equal(volume.voxels, STACK - 24)
        assert volume.voxels.dtype == np.int16
        assert volume.grid.spacing == pytest.approx((0.7, 0.8, 5.0))
        assert volume.grid.origin == pytest.approx((-10, 20, 0))
        assert volume.grid.thickness == 5.0


def test_frames_in_any_order_are_sorted_by_position(tmp_path, write_dicom_frames):
    write_dicom_frames(tmp_path / "enhanced.dcm", at(10, 0, 5))
    assert np.array_equal(files.read(tmp_path).voxels, STACK[[1, 2, 0]] - 24)


def test_frames_with_gaps_or_equal_positions_are_refused(tmp_path, write_dicom_frames):
    write_dicom_frames(tmp_path / "gap" / "enhanced.dcm", at(0, 5, 12, 15))
    write_dicom_frames(tmp_path / "phases" / "enhanced.dcm", at(0, 5, 0, 5))
    refused("bad-geometry", "evenly spaced", tmp_path / "gap")
    refused("bad-input", "several images at 2 of its positions", tmp_path / "phases")


def test_frames_without_positions_are_refused(tmp_path, write_dicom_frames):
    write_dicom_frames(tmp_path / "enhanced.dcm", at(0, 5, 10, 15), PerFrameFunctionalGroupsSequence=[])
    refused("bad-input", "but positions for 0", tmp_path)


def test_compressed_pixels_are_read(tmp_path, write_dicom_stack):
    import pydicom
    from pydicom.uid import RLELossless

    for path in write_dicom_stack(tmp_path, UPRIGHT):
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)
