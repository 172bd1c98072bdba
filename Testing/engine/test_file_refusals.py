"""Refused input and output files: one sentence, and no partial files."""

import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files
from test_files import AXIAL, ENGINE, ONE_FILE, nrrd, refused


@pytest.mark.parametrize("suffix", ONE_FILE)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_truncated_file_is_refused(tmp_path, suffix, compressed, share):
    noise = np.random.default_rng(0).integers(-1000, 1000, (10, 32, 32), np.int16)
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), useCompression=compressed)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused("bad-input", "cut short or damaged", files.read, path)


@pytest.mark.parametrize(
    ("suffix", "packed"), [(".nrrd", ".nrrd"), (".mha", ".mha"), (".mhd", ".zraw"), (".nii.gz", ".nii.gz")]
)
def test_a_flipped_bit_in_a_compressed_file_is_noticed(tmp_path, suffix, packed):
    noise = np.random.default_rng(0).integers(-1000, 1000, (40, 64, 64), np.int16)
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), useCompression=True)
    assert np.array_equal(files.read(path).voxels, noise)
    data = bytearray((tmp_path / f"ct{packed}").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / f"ct{packed}").write_bytes(data)
    refused("bad-input", "cut short or damaged", files.read, path)


@pytest.mark.parametrize("suffix", files.READABLE)
@pytest.mark.parametrize(("content", "word"), [(b"", "is empty"), (b"no image at all\n" * 99, "not a readable")])
def test_an_empty_file_and_a_file_that_is_not_an_image_are_refused(tmp_path, suffix, content, word):
    (tmp_path / f"ct{suffix}").write_bytes(content)
    refused("bad-input", word, files.read, tmp_path / f"ct{suffix}")


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_without_its_data_file_is_refused(tmp_path, make_volume, suffix):
    sitk.WriteImage(sitk.GetImageFromArray(make_volume().voxels), str(tmp_path / f"ct{suffix}"))
    (tmp_path / "ct.raw").unlink()
    refused("bad-input", "data file, which is missing", files.read, tmp_path / f"ct{suffix}")


def test_missing_files_unknown_suffixes_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "ct.xyz").write_bytes(b"hello")
    (tmp_path / "folder").mkdir()
    refused("bad-input", "does not exist", files.read, tmp_path / "none.nrrd")
    refused("bad-input", "none of these", files.read, tmp_path / "ct.xyz")
    refused("bad-input", "no CT images", files.read, tmp_path / "folder")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_images_that_are_not_scalar_volumes_are_refused_with_a_remedy(tmp_path, make_volume, suffix):
    volume = sitk.GetImageFromArray(make_volume().voxels)
    path = tmp_path / f"ct{suffix}"
    for image, word in [
        (volume[:, :, 2], "single image of 7 x 6"),
        (sitk.JoinSeries([volume, volume]), "save one of its frames"),
        (sitk.Compose([volume] * 3), "3 components"),
    ]:
        sitk.WriteImage(image, str(path))
        refused("bad-input", word, files.read, path)


@pytest.mark.parametrize("slice_axis", [None, 0])
def test_a_single_slice_is_refused(tmp_path, make_volume, slice_axis):
    files.write(make_volume(size=(1, 6, 1)), tmp_path / "ct.nrrd")
    refused("bad-input", "has 1 along", files.read, tmp_path / "ct.nrrd", slice_axis=slice_axis)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_non_finite_voxels_are_refused(tmp_path, make_volume, value, word):
    volume = make_volume(dtype=np.float32)
    volume.voxels[2, 2, 2] = value
    files.write(volume, tmp_path / "ct.nrrd")
    assert str(tmp_path) in refused("bad-input", word, files.read, tmp_path / "ct.nrrd")


def test_a_constant_volume_is_refused(tmp_path):
    refused("bad-input", "value -1000", files.read, nrrd(tmp_path / "ct.nrrd", values=[-1000] * 27))


@pytest.mark.parametrize(
    ("directions", "word"), [("(1,0,0) (1,0,0) (0,0,2)", "one plane"), ("(1,0,0) (0,1,0) (0,0,0)", "above 0 mm")]
)
def test_degenerate_directions_are_refused(tmp_path, directions, word):
    refused("bad-geometry", word, files.read, nrrd(tmp_path / "ct.nrrd", directions))


@pytest.mark.parametrize("codes", [(0, 1), (1, 2), (2, 1)])
def test_a_tilted_nifti_is_refused_even_if_it_has_an_upright_transform_too(tmp_path, make_volume, codes):
    path = tmp_path / "ct.nii"
    files.write(make_volume(directions=AXIAL), path)
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<2h", *codes)  # qform_code, sform_code
    data[280:328] = struct.pack("<12f", -0.7, 0, 0, 5, 0, -0.8, 1, 6, 0, 0, 5, 7)  # srow_x, srow_y, srow_z
    path.write_bytes(data)
    refused("bad-geometry", "gantry tilt", files.read, path)


@pytest.mark.parametrize("option", [{"slice_axis": 3}, {"thickness": 0.0}, {"thickness": -1.0}])
def test_invalid_options_are_refused(tmp_path, option):
    refused("bad-option", ", not (at )?-?[0-9.]+; ", files.read, nrrd(tmp_path / "ct.nrrd"), **option)


def test_an_existing_file_is_replaced_only_when_allowed(tmp_path, make_volume):
    path = tmp_path / "ct.nrrd"
    files.write(make_volume(), path)
    before = path.read_bytes()
    refused("cannot-write", "exists", files.write, make_volume(size=(3, 3, 3)), path)
    assert path.read_bytes() == before
    files.write(make_volume(size=(3, 3, 3)), path, overwrite=True)
    assert files.read(path).voxels.shape == (3, 3, 3)


def test_the_input_is_never_replaced_whatever_it_is_called(tmp_path, make_volume, monkeypatch):
    grid, path = make_volume().grid, tmp_path / "ct.nrrd"
    files.write(make_volume(), path)
    (tmp_path / "soft.nrrd").symlink_to(path)
    os.link(path, tmp_path / "hard.nrrd")
    monkeypatch.chdir(tmp_path)
    for name in ("ct.nrrd", "soft.nrrd", "hard.nrrd", f"../{tmp_path.name}/ct.nrrd", path):
        refused(
            "cannot-write", "must not replace the input", files.check_writable, name, grid, overwrite=True, source=path
        )
    files.check_writable("other.nrrd", grid, source=path)


def test_unwritable_results_are_refused_before_the_run(tmp_path, make_volume):
    grid = make_volume().grid
    (tmp_path / "folder.nrrd").mkdir()
    for name, word in [
        ("ct.png", "has another suffix"),
        ("none/ct.nrrd", "does not exist"),
        ("folder.nrrd", "is a folder"),
    ]:
        refused("cannot-write", word, files.check_writable, tmp_path / name, grid)
    files.check_writable(tmp_path / "ct.nii.gz", grid)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.nrrd"]


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path, make_volume):
    (tmp_path / "store").mkdir()
    (tmp_path / "ct.nrrd").symlink_to(tmp_path / "store" / "real.nrrd")
    files.write(make_volume(), tmp_path / "ct.nrrd", overwrite=True)
    assert (tmp_path / "ct.nrrd").is_symlink()
    assert files.read(tmp_path / "store" / "real.nrrd").voxels.shape == (5, 6, 7)


def test_an_unsupported_voxel_type_is_refused(tmp_path, make_volume):
    refused("cannot-write", "float16", files.write, make_volume(dtype=np.float16), tmp_path / "ct.nrrd")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="file size limits are a POSIX thing")
@pytest.mark.parametrize("suffix", ONE_FILE)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_no_files_and_keeps_the_old_one(tmp_path, suffix, overwrite):
    """Limit file sizes to 64 kB, which makes the same system call fail as a full disk."""
    path = tmp_path / f"ct{suffix}"
    if overwrite:
        path.write_bytes(b"old")
    script = f"""
        import resource, sys
        import numpy as np
        from CTSliceSynthesisEngine.errors import SynthesisError
        from CTSliceSynthesisEngine.volume import files
        from CTSliceSynthesisEngine.volume.grid import Grid
        from CTSliceSynthesisEngine.volume.volume import Volume

        noise = np.random.default_rng(0).integers(-1000, 1000, (20, 64, 64), np.int16)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            files.write(Volume(noise, Grid((64, 64, 20), np.eye(4))), {str(path)!r}, overwrite=True)
        except SynthesisError as error:
            print(error.reason, error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ENGINE}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("cannot-write The file"), done.stdout + done.stderr
    assert "could not be written completely" in done.stdout
    assert [actual.name for actual in tmp_path.iterdir()] == ([path.name] if overwrite else [])
    assert not overwrite or path.read_bytes() == b"old"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interruption_while_writing_leaves_nothing_behind(tmp_path, make_volume, monkeypatch, failure):
    path = tmp_path / "ct.nrrd"
    path.write_bytes(b"old")

    def fail(*_):
        raise failure

    monkeypatch.setattr(Path, "replace", fail)  # the last step before the file is in place
    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else SynthesisError):
        files.write(make_volume(), path, overwrite=True)
    assert [actual.name for actual in tmp_path.iterdir()] == ["ct.nrrd"]
    assert path.read_bytes() == b"old"
