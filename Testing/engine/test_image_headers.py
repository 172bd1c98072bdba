"""Image headers: every value is parsed exactly or refused, in agreement with ITK for valid files."""

import bz2
import gzip
import os
import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files

VOXELS = (np.arange(3 * 4 * 5) * 7 - 200).astype(np.int16).reshape(5, 4, 3)
RAW = VOXELS.tobytes()


def refused(path, word, reason="bad-input", **options):
    with pytest.raises(SynthesisError, match=word) as caught:
        files.read(path, **options)
    assert caught.value.reason == reason
    sentence = str(caught.value)
    assert sentence.endswith(".") and str(path.name) in sentence and "\n" not in sentence
    return sentence


def nrrd(path, data=RAW, **fields):
    own = {
        "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "3 4 5",
        "space directions": "(0.5,0,0) (0,0.5,0) (0,0,2)", "endian": "little", "encoding": "raw", "space origin": "(1,2,3)",
    }  # fmt: skip
    own |= {key.replace("_", " "): value for key, value in fields.items()}
    head = "".join(f"{key}: {value}\n" for key, value in own.items() if value is not None)
    path.write_bytes(b"NRRD0005\n" + head.encode() + b"\n" + data)
    return path


def mha(path, data=RAW, **fields):
    own = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3",
        "ElementSpacing": "0.5 0.5 2", "DimSize": "3 4 5", "ElementType": "MET_SHORT",
    }  # fmt: skip
    own |= fields
    last = own.pop("ElementDataFile", "LOCAL")
    head = "".join(f"{key} = {value}\n" for key, value in own.items() if value is not None)
    path.write_bytes(head.encode() + f"ElementDataFile = {last}\n".encode() + data)
    return path


def nifti(path, order="<", data=None, **fields):
    """Write a NIfTI-1 file; a field is given by format, offset and values."""
    own = {
        "size": ("i", 0, [348]), "dim": ("8h", 40, [3, 3, 4, 5, 1, 1, 1, 1]), "type": ("2h", 70, [4, 16]),
        "pixdim": ("8f", 76, [1, 0.5, 0.5, 2, 0, 0, 0, 0]), "offset": ("f", 108, [352]), "slope": ("2f", 112, [0, 0]),
        "units": ("b", 123, [2]), "codes": ("2h", 252, [0, 1]), "quaternion": ("6f", 256, [0, 0, 1, 1, 2, 3]),
        "sform": ("12f", 280, [-0.5, 0, 0, 1, 0, -0.5, 0, 2, 0, 0, 2, 3]), "magic": ("4s", 344, [b"n+1\0"]),
    }  # fmt: skip
    head = bytearray(352)
    for code, at, values in (own | fields).values():
        struct.pack_into(order + code, head, at, *values)
    path.write_bytes(bytes(head) + (VOXELS.astype(f"{order}i2").tobytes() if data is None else data))
    return path


def agrees_with_itk(path):
    """Check that voxels and geometry match SimpleITK."""
    volume, image = files.read(path), sitk.ReadImage(str(path))
    assert np.array_equal(volume.voxels, sitk.GetArrayFromImage(image))
    for index in [(0, 0, 0), (2, 3, 4), (1, 0, 2)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(volume.grid.ras(index), lps * [-1, -1, 1], atol=1e-5)
    return volume


@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "RAS", "right-anterior-superior", "left-anterior-superior"]
)
@pytest.mark.parametrize(
    ("encoding", "pack"), [("raw", bytes), ("gzip", gzip.compress), ("hex", lambda data: data.hex().encode())]
)
def test_nrrd_is_read_as_itk_reads_it(tmp_path, space, encoding, pack):
    agrees_with_itk(nrrd(tmp_path / "ct.nrrd", pack(RAW), space=space, encoding=encoding))


def test_nrrd_in_text_in_bzip2_and_in_the_other_byte_order(tmp_path):
    text = " ".join(map(str, VOXELS.ravel())).encode()
    for name, data, fields in (
        ("text", text, {"encoding": "ascii", "endian": None}),
        ("bzip2", bz2.compress(RAW), {"encoding": "bzip2"}),
        ("big", VOXELS.astype(">i2").tobytes(), {"endian": "big"}),
        ("skipped", b"one\ntwo\n" + RAW, {"line skip": "2"}),
        ("at the end", b"anything" + RAW, {"byte skip": "-1"}),
    ):
        assert np.array_equal(files.read(nrrd(tmp_path / f"{name}.nrrd", data, **fields)).voxels, VOXELS), name


@pytest.mark.parametrize(("unit", "scale"), [("cm", 10), ("m", 1000), ("mm", 1), ("um", 0.001)])
def test_the_units_of_an_nrrd_are_not_ignored(tmp_path, unit, scale):
    path = nrrd(tmp_path / "ct.nrrd", space_units=f'"{unit}" "{unit}" "{unit}"', thicknesses="nan nan 1.5")
    grid = files.read_header(path, slice_axis=2).grid
    assert grid.spacing == pytest.approx((0.5 * scale, 0.5 * scale, 2 * scale))
    assert grid.origin == pytest.approx((-scale, -2 * scale, 3 * scale))
    assert grid.thickness == (pytest.approx(1.5 * scale) if 0.05 <= 1.5 * scale <= 50 else None)


@pytest.mark.parametrize(
    ("fields", "reason", "word"),
    [
        ({"space directions": "(0.5,0,0) (0,0.5,0) (0,0,nan)"}, "bad-geometry", "nan"),
        ({"space directions": "(0.5,0,0) (0,0.5,0) none"}, "bad-geometry", "none"),
        ({"space directions": None}, "bad-geometry", "neither space directions nor spacings"),
        ({"space directions": None, "spacings": "0.5 0.5 nan"}, "bad-geometry", "0.5 0.5 nan"),
        ({"space origin": "(nan,0,0)"}, "bad-geometry", "nan"),
        ({"space units": '"mi" "mi" "mi"'}, "bad-geometry", "mi"),
        ({"space units": '"mm" "cm" "mm"'}, "bad-geometry", "all axes"),
        ({"sizes": "3 4"}, "bad-input", "3 4"),
        ({"sizes": "3 4 -5"}, "bad-input", "-5"),
        ({"sizes": "99999999 99999999 99999999"}, "bad-input", "99999999"),
        ({"dimension": "1000000"}, "bad-input", "1000000"),
        ({"dimension": None}, "bad-input", "dimension"),
        ({"type": "block"}, "bad-input", "block"),
        ({"encoding": "zstd"}, "bad-input", "zstd"),
        ({"endian": None}, "bad-input", "endian"),
        ({"byte skip": "1e5"}, "bad-input", "cut short"),
        ({"data file": "LIST"}, "bad-input", "several files"),
        ({"data file": "slice%03d.raw 1 9 1"}, "bad-input", "several files"),
        ({"data file": "a\0b"}, "bad-input", "zeros"),
        ({"kinds": "3-color domain domain"}, "bad-input", "3 components"),
    ],
)
def test_invalid_nrrd_headers_are_refused(tmp_path, fields, reason, word):
    refused(nrrd(tmp_path / "ct.nrrd", **fields), word, reason)


def test_metaimage_is_read_as_itk_reads_it(tmp_path):
    turned, packed = "0 1 0 -1 0 0 0 0 1", zlib.compress(RAW)
    for name, data, fields in (
        ("plain", RAW, {}),
        ("turned", RAW, {"TransformMatrix": turned}),
        ("zlib", packed, {"CompressedData": "True", "CompressedDataSize": str(len(packed))}),
        ("big", VOXELS.astype(">i2").tobytes(), {"BinaryDataByteOrderMSB": "True"}),
    ):
        agrees_with_itk(mha(tmp_path / f"{name}.mha", data, **fields))


def test_the_intensity_function_of_a_metaimage_is_not_ignored(tmp_path):
    fields = {"ElementToIntensityFunctionSlope": "2", "ElementToIntensityFunctionOffset": "-1024"}
    volume = files.read(mha(tmp_path / "ct.mha", **fields))
    assert np.array_equal(volume.voxels, VOXELS * 2.0 - 1024)


@pytest.mark.parametrize(
    ("fields", "reason", "word"),
    [
        ({"Offset": "nan 0 0"}, "bad-geometry", "nan"),
        ({"ElementSpacing": "0.5 0.5 0"}, "bad-geometry", "above 0"),
        ({"ElementSpacing": None}, "bad-geometry", "no ElementSpacing"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "bad-geometry", "length 1"),
        ({"NDims": "-1"}, "bad-input", "-1"),
        ({"NDims": "1000000"}, "bad-input", "1e\\+06"),
        ({"DimSize": "3 4 1_0"}, "bad-input", "1_0"),
        ({"ElementDataFile": "LIST"}, "bad-input", "several files"),
        ({"ElementDataFile": "%s%n 1 9 1"}, "bad-input", "several files"),
        ({"ElementDataFile": "a" * 5000}, "bad-input", "data file"),
        ({"ElementDataFile": "/dev/zero"}, "bad-input", "the same folder"),
        ({"ElementDataFile": "../ct.raw"}, "bad-input", "the same folder"),
        ({"ElementNumberOfChannels": "3"}, "bad-input", "3 components"),
        ({"ElementToIntensityFunctionSlope": "0"}, "bad-input", "Slope"),
        ({"ElementType": "MET_STRING"}, "bad-input", "MET_STRING"),
        ({"CompressedData": "Perhaps"}, "bad-input", "Perhaps"),
    ],
)
def test_invalid_metaimage_headers_are_refused(tmp_path, fields, reason, word):
    refused(mha(tmp_path / "ct.mha", **fields), word, reason)


@pytest.mark.parametrize("kind", ["mha", "nrrd", "nii.gz"])
@pytest.mark.parametrize("change", ["too short", "too long", "cut", "tail", "checksum"])
def test_compressed_voxels_must_match_the_header_exactly(tmp_path, kind, change):
    """ITK returns uninitialized memory for a truncated stream."""
    plain = RAW
    if kind == "nii.gz":
        plain = nifti(tmp_path / "plain.nii").read_bytes()
    plain = plain[:-10] if change == "too short" else plain + b"0123456789" if change == "too long" else plain
    packed = zlib.compress(plain) if kind == "mha" else gzip.compress(plain)
    packed = packed[:-5] if change == "cut" else packed + b"tail" if change == "tail" else packed
    if change == "checksum":
        packed = packed[:-7] + bytes([packed[-7] ^ 1]) + packed[-6:] if kind != "mha" else packed[:-1] + b"\0"
    path = tmp_path / f"ct.{kind}"
    if kind == "mha":
        mha(path, packed, CompressedData="True")
    elif kind == "nrrd":
        nrrd(path, packed, encoding="gzip")
    else:
        path.write_bytes(packed)
    refused(path, "cut short or damaged")


def test_a_wrong_compressed_size_is_refused(tmp_path):
    packed = zlib.compress(RAW)
    refused(mha(tmp_path / "ct.mha", packed, CompressedData="True", CompressedDataSize="7"), "7 compressed bytes")


def test_a_decompression_bomb_is_refused_before_it_takes_memory(tmp_path):
    bomb = gzip.compress(bytes(300 << 20), 9)
    sentence = refused(nrrd(tmp_path / "ct.nrrd", bomb, encoding="gzip", sizes="4096 4096 9"), "cannot hold")
    assert str(4096 * 4096 * 9 * 2) in sentence


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("codes", [[0, 1], [1, 0], [1, 1]])
def test_nifti_is_read_as_itk_reads_it(tmp_path, order, codes):
    volume = agrees_with_itk(nifti(tmp_path / "ct.nii", order, codes=("2h", 252, codes)))
    assert not [warning for warning in volume.warnings if "taken" in warning and "HU" not in warning]


def test_a_nifti_without_orientation_gives_a_warning(tmp_path):
    volume = files.read(nifti(tmp_path / "ct.nii", codes=("2h", 252, [0, 0])))
    assert volume.grid.spacing == pytest.approx((0.5, 0.5, 2))
    assert "does not give its orientation" in volume.warnings[0]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"pixdim": ("8f", 76, [1, 0.5, 0.5, 3, 0, 0, 0, 0])}, "pixdim"),
        (
            {"codes": ("2h", 252, [1, 1]), "quaternion": ("6f", 256, [0, 0, 1, 9, 2, 3])},
            "8 mm apart; the sform is used",
        ),
    ],
)
def test_contradictions_in_a_nifti_are_reported_and_the_sform_is_used(tmp_path, fields, word):
    volume = files.read(nifti(tmp_path / "ct.nii", **fields))
    assert volume.grid.slice_spacing == pytest.approx(2)
    assert volume.grid.origin == pytest.approx((1, 2, 3))
    assert any(word in warning for warning in volume.warnings)


def test_rounding_is_not_shear_and_in_plane_shear_is_refused(tmp_path):
    small, large = 0.5 * np.sin(np.radians(0.008)), 0.5 * np.sin(np.radians(3))
    for off, path in ((small, tmp_path / "rounded.nii"), (large, tmp_path / "sheared.nii")):
        nifti(path, sform=("12f", 280, [-0.5, off, 0, 1, 0, -0.5, 0, 2, 0, 0, 2, 3]))
    assert files.read(tmp_path / "rounded.nii").grid.tilt_degrees == 0
    refused(tmp_path / "sheared.nii", "sheared axes \\(3", "bad-geometry")


@pytest.mark.parametrize(
    ("fields", "reason", "word"),
    [
        ({"pixdim": ("8f", 76, [1, 0.5, 0.5, 0, 0, 0, 0, 0]), "codes": ("2h", 252, [1, 0])}, "bad-geometry", "pixdim"),
        (
            {"pixdim": ("8f", 76, [1, 0.5, 0.5, np.nan, 0, 0, 0, 0]), "codes": ("2h", 252, [0, 0])},
            "bad-geometry",
            "nan",
        ),
        (
            {"pixdim": ("8f", 76, [1, 0.5, 0.5, np.inf, 0, 0, 0, 0]), "codes": ("2h", 252, [1, 0])},
            "bad-geometry",
            "inf",
        ),
        (
            {"quaternion": ("6f", 256, [2, 2, 2, 1, 2, 3]), "codes": ("2h", 252, [1, 0])},
            "bad-geometry",
            "not a rotation",
        ),
        ({"sform": ("12f", 280, [np.nan] * 12)}, "bad-geometry", "sform"),
        ({"units": ("b", 123, [7])}, "bad-geometry", "unit 7"),
        ({"dim": ("8h", 40, [3, -3, 4, 5, 1, 1, 1, 1])}, "bad-input", "-3"),
        ({"dim": ("8h", 40, [99, 3, 4, 5, 1, 1, 1, 1])}, "bad-input", "99 dimensions"),
        ({"dim": ("8h", 40, [3, 32767, 32767, 32767, 1, 1, 1, 1])}, "bad-input", "too many voxels"),
        ({"type": ("2h", 70, [128, 24])}, "bad-input", "3 components"),
        ({"type": ("2h", 70, [4, 8])}, "bad-input", "8 bits"),
        ({"offset": ("f", 108, [np.nan])}, "bad-input", "vox_offset"),
        ({"slope": ("2f", 112, [np.inf, 0])}, "bad-input", "scl_slope"),
        ({"magic": ("4s", 344, [b"ni1\0"])}, "bad-input", "single-file"),
    ],
)
def test_invalid_nifti_headers_are_refused(tmp_path, fields, reason, word):
    refused(nifti(tmp_path / "ct.nii", **fields), word, reason)


def test_slope_and_unit_of_a_nifti_are_applied(tmp_path):
    path = nifti(tmp_path / "ct.nii", slope=("2f", 112, [0.5, -1000]), units=("b", 123, [3]),
                 sform=("12f", 280, [-500, 0, 0, 1000, 0, -500, 0, 2000, 0, 0, 2000, 3000]),
                 pixdim=("8f", 76, [1, 500, 500, 2000, 0, 0, 0, 0]))  # fmt: skip
    volume = files.read(path)
    assert np.allclose(volume.voxels, VOXELS * 0.5 - 1000)
    assert volume.grid.spacing == pytest.approx((0.5, 0.5, 2))


def test_a_file_that_is_replaced_between_header_and_voxels_is_noticed(tmp_path, make_volume):
    files.write(make_volume(), tmp_path / "ct.nrrd")
    scan = files.open_scan(tmp_path / "ct.nrrd")
    files.write(make_volume(dtype=np.int32), tmp_path / "ct.nrrd", overwrite=True)
    with pytest.raises(SynthesisError, match="changed while it was read"):
        scan.read()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a POSIX thing")
def test_pipes_do_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.nrrd")
    os.mkfifo(tmp_path / "pipe.raw")
    with pytest.raises(SynthesisError, match="neither a file nor a folder"):
        files.read(tmp_path / "pipe.nrrd")
    refused(nrrd(tmp_path / "ct.nhdr", b"", data_file="pipe.raw"), "not a regular file")


def test_own_results_are_reported(tmp_path, make_volume):
    origin = {"CTSliceSynthesis.method": "three-view", "CTSliceSynthesis.factor": "4"}
    for name in ("thin.nrrd", "thin.mha", "thin.nii.gz"):
        files.write(make_volume(), tmp_path / name, header=origin)
        header = files.read_header(tmp_path / name)
        assert header.origin
        assert "is a result of CTSliceSynthesis" in header.warnings[-1]
    files.write(make_volume(), tmp_path / "scan.nii.gz")
    assert not files.read_header(tmp_path / "scan.nii.gz").origin
