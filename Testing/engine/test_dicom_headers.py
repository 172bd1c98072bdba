"""DICOM headers with real-world defects: read correctly, or refused with file, value and remedy."""

import os
import re
import zlib

import numpy as np
import pydicom
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.dicom import dicom_folder
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

PLACES = [(10.0, -20.0, 5.0 * n) for n in range(6)]
STACK = (np.arange(6 * 42) - 1000).reshape(6, 6, 7)


def refused(path, word, reason="bad-input", **options):
    with pytest.raises(SynthesisError, match=word) as caught:
        files.read(path, **options)
    assert caught.value.reason == reason
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "S3CR3T" not in sentence
    return sentence


def edited(path, old, new):
    """Replace bytes of a file by as many others, to produce what no library would write."""
    content = path.read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def test_slices_sharing_one_instance_uid_are_all_kept(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, SOPInstanceUID="1.2.5.1")
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_a_copy_of_a_slice_under_another_name_is_ignored(tmp_path, write_dicom_stack):
    paths = write_dicom_stack(tmp_path, PLACES)
    (tmp_path / "copy of 3").write_bytes(paths[3].read_bytes())
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_two_different_slices_at_one_position_are_reported(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES)
    write_dicom_stack(tmp_path, PLACES[2:3], first=90, pixels=lambda n: np.zeros((6, 7), np.int16))
    sentence = refused(tmp_path, "several images at 1 of its positions")
    assert "1.2.5_002 and 1.2.5_090" in sentence


LAST = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "zeroed": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "contains only zeros"),
    "rubbish": (lambda path: path.write_bytes(b"rubbish" * 200), "is not a DICOM file"),
    "short header": (lambda path: os.truncate(path, 320), "cut short or damaged"),
    "short pixels": (lambda path: os.truncate(path, path.stat().st_size - 2), "cut short or damaged"),
    "dangling link": (lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot be opened"),
    "pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "it is not a regular file"),
}


@pytest.mark.parametrize("kind", LAST)
def test_the_last_slice_is_never_lost_silently(tmp_path, write_dicom_stack, kind):
    path = write_dicom_stack(tmp_path, PLACES)[-1]
    spoil, word = LAST[kind]
    spoil(path)
    assert str(path) in refused(tmp_path, word)


@pytest.mark.parametrize(
    ("keyword", "word"),
    [("ImagePositionPatient", "does not give its ImagePositionPatient"), ("PixelSpacing", "PixelSpacing")],
)
def test_a_slice_without_geometry_is_reported(tmp_path, write_dicom_stack, keyword, word):
    path = write_dicom_stack(tmp_path, PLACES)[-1]
    data = pydicom.dcmread(path)
    delattr(data, keyword)
    data.save_as(path)
    assert str(path) in refused(tmp_path, word)


@pytest.mark.parametrize(
    ("field", "old", "new", "word"),
    [
        ("ImagePositionPatient", b"25.000000", b"25,000000", "three|3 numbers"),
        ("RescaleSlope", b"1.0000", b"1,0000", "must be one number"),
        ("RescaleSlope", b"1.0000", b"abc   ", "must be one number"),
        ("RescaleSlope", b"1.0000", b"nan   ", "must be one number"),
        ("RescaleSlope", b"1.0000", b"0.0000", "other than 0"),
        ("RescaleSlope", b"1.0000", b"1\\2   ", "must be one number"),
        ("RescaleSlope", b"1.0000", b"1_0   ", "must be one number"),
        ("RescaleIntercept", b"1.0000", b"-1.0e ", "must be one number"),
    ],
)
def test_invalid_numbers_are_refused_with_the_value(tmp_path, write_dicom_stack, field, old, new, word):
    own = {} if field == "ImagePositionPatient" else {field: "1.0000"}
    path = write_dicom_stack(tmp_path, PLACES, **own)[-1]
    edited(path, old, new)
    sentence = refused(tmp_path, word)
    assert str(path) in sentence
    assert re.sub(r"\s+$", "", new.decode()) in sentence.replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        (dict(PixelSpacing=["-0.8", "0.7"]), "above 0 mm"),
        (dict(PixelSpacing=["0.8", "0"]), "above 0 mm"),
        (dict(ImageOrientationPatient=[2, 0, 0, 0, 1, 0]), "unit vectors at right angles"),
        (dict(ImageOrientationPatient=[1, 0, 0, 0.5, 0.866, 0]), "unit vectors at right angles"),
        (dict(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "unit vectors"),
        (dict(RescaleType="MGML"), "not in HU"),
        (dict(NumberOfFrames="7"), "several frames"),
        (dict(HighBit=11), "high bit"),
    ],
)
def test_invalid_ct_images_are_refused_with_the_value(tmp_path, write_dicom_stack, fields, word):
    write_dicom_stack(tmp_path, PLACES, **fields)
    refused(tmp_path, word)


def test_a_table_that_scales_to_hu_is_not_ignored(tmp_path, write_dicom_stack):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [2, 0, 16], b"\0\0\1\0"
    write_dicom_stack(tmp_path, PLACES, ModalityLUTSequence=[table])
    refused(tmp_path, "Modality LUT")


@pytest.mark.parametrize(
    ("field", "values", "word"),
    [
        ("PatientID", ("A",) * 5 + ("B",), "same patient"),
        ("FrameOfReferenceUID", ("1.2.4",) * 5 + ("1.2.9",), "same frame of reference"),
    ],
)
def test_two_patients_or_frames_of_reference_are_not_one_stack(tmp_path, write_dicom_stack, field, values, word):
    write_dicom_stack(tmp_path, PLACES, **{field: values})
    refused(tmp_path, word, "bad-geometry")


def test_one_slice_without_rescale_among_others_with_it_is_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, RescaleSlope=(*["1"] * 5, None), RescaleIntercept=(*["0"] * 5, None))
    refused(tmp_path, "same kind of scaling to HU", "bad-geometry")


def test_missing_rescale_in_all_slices_gives_a_warning(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, RescaleSlope=None, RescaleIntercept=None)
    volume = files.read(tmp_path)
    assert np.array_equal(volume.voxels, STACK)
    assert "the stored values are treated as HU" in volume.warnings[0]


def test_monochrome1_does_not_change_hu(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, PhotometricInterpretation="MONOCHROME1", RescaleIntercept="-24")
    assert np.array_equal(files.read(tmp_path).voxels, STACK - 24)


def test_spare_bits_are_ignored(tmp_path, write_dicom_stack):
    def raw(index):
        return ((STACK[index] + 1024) | 0xF000).astype(np.uint16)

    write_dicom_stack(tmp_path, PLACES, pixels=raw, BitsStored=12, HighBit=11, RescaleIntercept="-1024")
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_plain_transfer_syntax_is_read(tmp_path, write_dicom_stack, syntax):
    for index, path in enumerate(write_dicom_stack(tmp_path, PLACES)):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            data.PixelData = STACK[index].astype(">i2").tobytes()
        is_implicit, is_little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        pydicom.dcmwrite(path, data, implicit_vr=is_implicit, little_endian=is_little, force_encoding=True)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_a_decompression_bomb_is_refused(tmp_path, write_dicom_stack):
    path = write_dicom_stack(tmp_path, PLACES)[0]
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    content = path.read_bytes()
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(bytes(700 << 20)) + packer.flush()
    path.write_bytes(content[:start] + bomb)
    assert "512 MB" in refused(tmp_path, "decompresses to more")


def test_a_file_without_preamble_is_read(tmp_path, write_dicom_stack):
    for path in write_dicom_stack(tmp_path, PLACES):
        data = pydicom.dcmread(path)
        del data.file_meta, data.preamble
        data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


@pytest.mark.parametrize("written", ["{:.1f}", "{:.6f}"])
@pytest.mark.parametrize("beside", ["0", "-170.123"])
def test_positions_with_one_decimal_count_as_even(tmp_path, write_dicom_stack, written, beside):
    heights = [0.0, 1.2, 2.5, 3.8, 5.0, 6.2]
    rounded = (*([beside, beside, written.format(height)] for height in heights),)
    write_dicom_stack(tmp_path, PLACES, ImagePositionPatient=rounded)
    grid = files.read(tmp_path).grid
    assert grid.slice_spacing == pytest.approx(1.24)
    assert grid.tilt_degrees == 0


def test_positions_with_two_decimals_that_are_uneven_are_refused(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, [(0, 0, height) for height in (0, 1.21, 2.5, 3.84, 5, 6.2)])
    refused(tmp_path, "evenly spaced", "bad-geometry")


def test_stored_values_beyond_31_bits_are_refused_with_or_without_rescale(tmp_path, write_dicom_stack):
    for name, rescale in (("scaled", "1"), ("bare", None)):
        write_dicom_stack(
            tmp_path / name, PLACES, pixels=lambda n: np.full((6, 7), 2**32 - 1 - n, np.uint32), BitsAllocated=32,
            BitsStored=32, HighBit=31, RescaleSlope=rescale, RescaleIntercept=rescale and "0",
        )  # fmt: skip
        refused(tmp_path / name, "which are not HU")


def test_an_implausible_thickness_is_ignored(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, SliceThickness="5000")
    volume = files.read(tmp_path)
    assert volume.grid.thickness is None
    assert "5000 mm" in volume.warnings[0]
    refused(tmp_path, "must be between 0.05 and 50 mm", "bad-option", thickness=5000)
    assert files.read(tmp_path, thickness=np.float64(5)).grid.thickness == 5.0


def test_an_outlying_slice_is_refused_without_allocating_memory(tmp_path, write_dicom_stack):
    places = (*([10, -20, 5 * n] for n in range(6)), ["10", "-20", "1e9"])
    write_dicom_stack(tmp_path, [*PLACES, PLACES[0]], ImagePositionPatient=places)
    refused(tmp_path, "evenly spaced", "bad-geometry")
    refused(tmp_path, "filled up to 20 times", resample_irregular=True)


def test_other_objects_are_ignored_and_reported(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES)
    others = {
        "dose": ("1.2.840.10008.5.1.4.1.1.88.67", "SR"), "plan": ("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN"),
        "pet": ("1.2.840.10008.5.1.4.1.1.128", "PT"), "mr": ("1.2.840.10008.5.1.4.1.1.4", "MR"),
        "pdf": ("1.2.840.10008.5.1.4.1.1.104.1", "DOC"), "capture": ("1.2.840.10008.5.1.4.1.1.7", "CT"),
    }  # fmt: skip
    for name, (sop_class, modality) in others.items():
        (path,) = write_dicom_stack(tmp_path / "other", PLACES[:1], SOPClassUID=sop_class, Modality=modality)
        path.rename(tmp_path / f"{name}.dcm")
    write_dicom_stack(tmp_path, PLACES[:1], series="1.2.8", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_dicom_stack(tmp_path, PLACES[:1], series="1.2.9")
    for name in ("._1.2.5_003", ".DS_Store", "DIRFILE", "readme.txt"):
        (tmp_path / name).write_bytes(b"anything")
    header = files.read_header(tmp_path)
    assert header.grid.slice_count == 6
    (note,) = header.notes
    for word in (
        "1 x MR Image (MR)",
        "1 x Positron Emission",
        "2 x file that is not DICOM",
        "Other modalities: DOC, MR, PT",
    ):
        assert word in note
    assert "not a CT image but: X-Ray Radiation Dose SR" in refused(tmp_path / "dose.dcm", "not a CT image")
    assert "holds no CT images, but 1 x MR Image (MR); give" in refused(
        moved(tmp_path / "mr.dcm", tmp_path / "only"), "no CT images"
    )


def moved(path, folder):
    folder.mkdir()
    path.rename(folder / path.name)
    return folder


def test_the_sop_class_decides_rather_than_suffix_or_content(tmp_path, write_dicom_stack):
    """A report containing the CT class UID, and CT images named .txt."""
    for path in write_dicom_stack(tmp_path, PLACES):
        path.rename(tmp_path / f"{path.name}.txt")
    (path,) = write_dicom_stack(
        tmp_path / "x",
        PLACES[:1],
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11",
        SeriesDescription="1.2.840.10008.5.1.4.1.1.2",
    )
    path.rename(tmp_path / "report.dcm")
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_text_is_decoded_by_the_character_set_of_the_file(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, PLACES, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Schädel")
    assert dicom_folder.inspect_folder(tmp_path).stacks[0].description == "Schädel"


def test_a_file_that_is_replaced_between_header_and_voxels_is_noticed(tmp_path, write_dicom_stack):
    path = write_dicom_stack(tmp_path, PLACES)[2]
    scan = files.open_scan(tmp_path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(SynthesisError, match="changed while the scan was read"):
        scan.read()


def test_nested_elements_without_end_are_refused(tmp_path, write_dicom_stack):
    path = write_dicom_stack(tmp_path, PLACES)[2]
    content = path.read_bytes()
    deep = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 200_000
    at = content.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(content[:at] + deep + content[at:])
    assert str(path) in refused(tmp_path, "nested too deeply")


@pytest.mark.parametrize("element", [b"\x00\x52\x29\x92SQ", b"\x00\x52\x30\x92SQ", b"\x28\x00\x45\x91SQ"])
def test_an_enhanced_file_with_an_invalid_element_is_refused(tmp_path, write_dicom_frames, element):
    path = write_dicom_frames(tmp_path / "enhanced.dcm", PLACES)
    edited(path, element, element[:-2] + b"S\x28")
    assert str(path) in refused(tmp_path, "cannot be parsed|does not give|has 6 frames")


def test_a_compressed_slice_with_an_invalid_element_is_refused(tmp_path, write_dicom_stack):
    for path in write_dicom_stack(tmp_path, PLACES):
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.save_as(path)
    edited(path, b"\x28\x00\x02\x01US", b"\x28\x00\x02\x01U\x11")
    assert str(path) in refused(tmp_path, "cannot be parsed")
