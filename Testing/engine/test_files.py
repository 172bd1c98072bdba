"""Files of every format, type and geometry; expected positions are in RAS."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files, readback

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


ONE_FILE = [".nrrd", ".mha", ".nii", ".nii.gz"]


ENGINE = str(Path(files.__file__).parents[2])


def rotation(degrees, axis):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.roll(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), (axis - 2, axis - 2), axis=(0, 1))


def shear(degrees):
    directions = np.eye(3)
    directions[:, 2] = [0, np.sin(np.radians(degrees)), np.cos(np.radians(degrees))]
    return directions


AXIAL = np.diag([-1.0, -1.0, 1.0])


GEOMETRIES = {
    "axial": AXIAL,
    "flipped": np.diag([-1.0, -1.0, -1.0]),
    "left-handed": np.diag([1.0, -1.0, -1.0]) @ np.diag([-1.0, 1, 1]),
    "coronal": np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]]),
    "sagittal": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    "oblique": rotation(20, 0) @ rotation(-35, 1) @ rotation(10, 2) @ AXIAL,
    "tilted": AXIAL @ shear(18),
    "tilted and oblique": rotation(20, 2) @ AXIAL @ shear(-22),
}


def refused(reason, word, call, *arguments, **options):
    """Return the message with which `call` is refused: one line, without C++ details."""
    with pytest.raises(SynthesisError, match=word) as caught:
        call(*arguments, **options)
    assert caught.value.reason == reason
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert not any(word in sentence for word in ("\n", "0x", "itk", "ITK ERROR", ".cxx"))
    return sentence


def nrrd(path, directions="(1,0,0) (0,1,0) (0,0,2)", space="right-anterior-superior", values=range(27)):
    """Write a file as another program may do."""
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 3 3 3\nspace directions: {directions}\n"
        "kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    path.write_bytes(header.encode() + np.array(values, "<i2").tobytes())
    return path


@pytest.mark.parametrize("suffix", ONE_FILE)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_voxel_type_is_preserved_by_every_format(tmp_path, make_volume, suffix, dtype):
    volume = make_volume(dtype=dtype)
    files.write(volume, tmp_path / f"ct{suffix}")
    back = files.read(tmp_path / f"ct{suffix}")
    assert back.voxels.dtype == np.dtype(dtype)
    assert np.array_equal(back.voxels, volume.voxels)


@pytest.mark.parametrize("suffix", ONE_FILE)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_is_preserved_by_every_format_that_supports_it(tmp_path, make_volume, suffix, name):
    volume = make_volume(directions=GEOMETRIES[name])
    if "tilted" in name and suffix.startswith(".nii"):
        refused("bad-geometry", "write NRRD or MHA instead", files.write, volume, tmp_path / f"ct{suffix}")
        assert not list(tmp_path.iterdir())
        return
    files.write(volume, tmp_path / f"ct{suffix}")
    back = files.read(tmp_path / f"ct{suffix}").grid
    assert back.matches(volume.grid, tolerance=1e-4 if suffix.startswith(".nii") else 1e-9)  # NIfTI uses float32
    assert back.is_left_handed == volume.grid.is_left_handed
    assert back.tilt_degrees == pytest.approx(volume.grid.tilt_degrees, abs=1e-4)


@pytest.mark.parametrize("suffix", ONE_FILE)
def test_a_landmark_written_by_itk_in_lps_is_read_in_ras(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.arange(210, dtype=np.int16).reshape(5, 6, 7) - 200)
    image.SetOrigin((10, -20, 30))
    image.SetSpacing((0.5, 1, 4))
    sitk.WriteImage(image, str(tmp_path / f"ct{suffix}"))
    volume = files.read(tmp_path / f"ct{suffix}")
    np.testing.assert_allclose(volume.grid.ras((2, 3, 4)), [-11, 17, 46])  # LPS (11, -17, 46)
    assert volume.voxels[4, 3, 2] == image.GetPixel(2, 3, 4)


def test_an_nrrd_in_ras_is_read_at_its_position(tmp_path):
    volume = files.read(nrrd(tmp_path / "ras.nrrd"))
    np.testing.assert_allclose(volume.grid.ras((1, 1, 1)), [2, 3, 5])


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_headers_with_a_separate_data_file_are_read_but_not_written(tmp_path, make_volume, suffix):
    sitk.WriteImage(sitk.GetImageFromArray(make_volume().voxels), str(tmp_path / f"ct{suffix}"))
    assert files.read(tmp_path / f"ct{suffix}").voxels.shape == (5, 6, 7)
    refused("cannot-write", "use one of these", files.write, make_volume(), tmp_path / f"other{suffix}")


@pytest.mark.parametrize("suffix", [*ONE_FILE, ".NRRD"])
def test_spaces_and_unicode_are_supported_in_paths(tmp_path, make_volume, suffix):
    folder = tmp_path / "Scans von Jürgen 中文 ß"
    folder.mkdir()
    files.write(make_volume(), folder / f"été 1{suffix}")
    assert files.read(folder / f"été 1{suffix}").voxels.shape == (5, 6, 7)
    assert [path.name for path in folder.iterdir()] == [f"été 1{suffix}"]


def test_the_header_gives_grid_and_type_without_the_voxels(tmp_path, make_volume):
    volume = make_volume(dtype="uint16", thickness=5.0)
    files.write(volume, tmp_path / "ct.nrrd")
    header = files.read_header(tmp_path / "ct.nrrd")
    assert header.dtype == np.uint16
    assert header.grid.matches(volume.grid)
    assert header.grid.thickness == 5.0


@pytest.mark.parametrize(("suffix", "kept"), [(".nrrd", 2.5), (".mha", 2.5), (".nii", None)])
def test_the_thickness_is_stored_if_supported_and_can_be_overridden(tmp_path, make_volume, suffix, kept):
    files.write(make_volume(thickness=2.5), tmp_path / f"ct{suffix}")
    assert files.read(tmp_path / f"ct{suffix}").grid.thickness == kept
    assert files.read(tmp_path / f"ct{suffix}", thickness=3).grid.thickness == 3


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_header_fields_are_written_in_one_line_each(tmp_path, make_volume, suffix):
    fields = {"CTSliceSynthesis.method": "three-view", "CTSliceSynthesis.note": "zwei\nZeilen für dich", "Empty": ""}
    files.write(make_volume(), tmp_path / f"ct{suffix}", header=fields)
    image = sitk.ReadImage(str(tmp_path / f"ct{suffix}"))
    assert image.GetMetaData("CTSliceSynthesis.method") == "three-view"
    assert image.GetMetaData("CTSliceSynthesis.note") == "zwei Zeilen für dich"
    assert image.GetMetaData("Empty") == "-"


@pytest.mark.parametrize(
    ("spacing", "axis"), [((1, 1, 5), 2), ((5, 1, 1), 0), ((1, 5, 1), 1), ((1, 1, 1), 2), ((5, 5, 1), 0)]
)
def test_the_slice_axis_is_found_or_chosen(tmp_path, make_volume, spacing, axis):
    files.write(make_volume(spacing=spacing), tmp_path / "ct.nrrd")
    assert files.read(tmp_path / "ct.nrrd").grid.slice_axis == axis
    assert files.read(tmp_path / "ct.nrrd", slice_axis=1).grid.slice_axis == 1


def test_padding_and_metal_are_unchanged(tmp_path):
    values = [-3024, -2000, 30000, *range(24)]
    assert files.read(nrrd(tmp_path / "ct.nrrd", values=values)).voxels.ravel().tolist() == values


def test_values_like_those_of_an_mr_are_read_with_a_warning(tmp_path):
    (warning,) = files.read(nrrd(tmp_path / "mr.nrrd", values=range(0, 270, 10))).warnings
    assert "from 0 to 260" in warning
    assert files.read(nrrd(tmp_path / "ct.nrrd", values=range(-1000, 350, 50))).warnings == ()


def test_a_nifti_named_gz_need_not_be_compressed(tmp_path, make_volume):
    files.write(make_volume(), tmp_path / "ct.nii")
    (tmp_path / "plain.nii.gz").write_bytes((tmp_path / "ct.nii").read_bytes())
    (tmp_path / "packed.nii.gz").write_bytes(gzip.compress((tmp_path / "ct.nii").read_bytes()))
    for name in ("plain.nii.gz", "packed.nii.gz"):
        assert np.array_equal(files.read(tmp_path / name).voxels, make_volume().voxels)


def test_modules_that_do_not_need_simpleitk_do_not_load_it():
    script = (
        "import sys; from CTSliceSynthesisEngine.volume import grid, intensity, thinning, volume, source\n"
        "from CTSliceSynthesisEngine.volume.dicom import dicom_stacks\n"
    )
    command = [sys.executable, "-c", script + "sys.exit('SimpleITK' in sys.modules or 'torch' in sys.modules)"]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": ENGINE}, timeout=120).returncode == 0


@pytest.mark.parametrize("suffix", files.WRITABLE)
@pytest.mark.parametrize("harm", ["cut", "changed", "other"])
def test_readback_detects_any_damage(tmp_path, make_volume, suffix, harm):
    volume = make_volume((20, 30, 11))
    path = tmp_path / f"ct{suffix}"
    files.write(volume, path)
    assert readback.holds(path, suffix, volume.voxels)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[:-9])
    elif harm == "changed":
        content[-40] ^= 1
        path.write_bytes(content)
    other = volume.voxels + 1 if harm == "other" else volume.voxels
    assert not readback.holds(path, suffix, other)
