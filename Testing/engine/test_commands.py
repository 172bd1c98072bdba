"""The command line: every input gives either a result, or one sentence, an exit status, and no files left behind."""

import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from CTSliceSynthesisEngine.networks.registry import bundled_models, default_model
from CTSliceSynthesisEngine.synthesis.options import FACTORS
from CTSliceSynthesisEngine.version import VERSION
from CTSliceSynthesisEngine.volume import files

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


posix = pytest.mark.skipif(os.name != "posix", reason="signals, permissions and limits of POSIX")


def cubic(source, *more):
    return ("increase", source, "thin.nrrd", "--method", "cubic", *more)


def test_a_thick_scan_is_upsampled(here, thick, tiny_weights, command):
    status, out, _ = command(
        "increase", thick, "thin.nii.gz", "--factor", 4, "--model", tiny_weights, "--device", "cpu"
    )
    assert status == 0
    assert "thin.nii.gz: 24 x 20 x 45 voxels, a slice every 1.25 mm" in out
    assert "estimates; for research use" in out
    assert np.array_equal(files.read("thin.nii.gz").voxels[::4], files.read(thick).voxels)


def header_of(path):
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    keys = (key for key in reader.GetMetaDataKeys() if key.startswith("CTSliceSynthesis."))
    return {key.removeprefix("CTSliceSynthesis."): reader.GetMetaData(key) for key in keys}


def test_the_header_records_the_settings_of_a_run(here, thick, tiny_weights, command):
    options = ("--model", tiny_weights, "--device", "cpu", "--acquired", "thin", "--precision", "float32")
    status, _, err = command("increase", thick, "thin.nrrd", "--factor", 4, *options)
    assert status == 0, err
    told = header_of("thin.nrrd")
    assert (told["acquired"], told["precision"], told["device"], told["model"]) == ("thin", "float32", "cpu", "tiny.pt")
    assert not np.array_equal(files.read("thin.nrrd").voxels[::4], files.read(thick).voxels)
    assert files.read("thin.nrrd").grid.thickness == 1.25


def test_the_same_command_gives_the_same_file(here, thick, tiny_weights, command):
    for name in ("first.nrrd", "second.nrrd"):
        assert command("increase", thick, name, "--model", tiny_weights, "--device", "cpu")[0] == 0
    assert (here / "first.nrrd").read_bytes() == (here / "second.nrrd").read_bytes()


def test_an_unknown_thickness_is_estimated_and_reported_but_not_written(here, make_scan, tiny_weights, command):
    files.write(make_scan(size=(48, 40, 16)), here / "unknown.nrrd")
    status, _, err = command("increase", "unknown.nrrd", "thin.nrrd", "--model", tiny_weights, "--device", "cpu")
    assert status == 0
    assert any("The slice thickness is unknown and was estimated from the scan itself: " in line for line in err)
    assert files.read("thin.nrrd").grid.thickness is None
    facts = json.loads(command("info", "unknown.nrrd", "--json")[1])
    assert facts["thickness_mm"] is None
    assert 0 < facts["estimated_thickness_mm"] < 10
    assert (
        f"unknown, about {facts['estimated_thickness_mm']:.2g} mm by the scan itself"
        in command("info", "unknown.nrrd")[1]
    )


def test_info_reports_the_run_time_of_each_bundled_model(thick, command):
    facts = json.loads(command("info", thick, "--json")[1])
    names = [model.name for model in bundled_models()]
    assert facts["estimated_thickness_mm"] is None
    for row in facts["factors"]:
        assert list(row["models"]) == names
        assert row["estimated_seconds"] == row["models"]["compact"]


def test_a_gpu_uses_the_larger_model_if_bundled():
    names = [model.name for model in bundled_models()]
    assert default_model("cpu") == "compact"
    assert default_model("cuda") == ("quality" if "quality" in names else "compact")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_every_voxel_type_is_supported(here, make_scan, tiny_weights, command, dtype, suffix):
    files.write(make_scan(size=(10, 9, 4), dtype=dtype), here / f"thick{suffix}")
    status, _, err = command("increase", f"thick{suffix}", f"thin{suffix}", "--model", tiny_weights, "--device", "cpu")
    assert status == 0, err
    thin = files.read(here / f"thin{suffix}").voxels
    assert thin.dtype == np.dtype(dtype)
    assert np.array_equal(thin[::2], files.read(here / f"thick{suffix}").voxels)


def tilted(make_scan):
    directions = np.eye(3)
    directions[:, 2] = [0, np.sin(0.3), np.cos(0.3)]
    return make_scan(directions=directions)


def test_gantry_tilt_is_kept_in_nrrd_and_refused_for_nifti(here, make_scan, refused, command):
    scan = tilted(make_scan)
    files.write(scan, here / "tilted.nrrd")
    sentence = refused("bad-geometry", "increase", "tilted.nrrd", "thin.nii.gz", "--method", "cubic")
    assert "NIfTI cannot represent gantry tilt" in sentence
    assert command(*cubic("tilted.nrrd"))[0] == 0
    thin = files.read("thin.nrrd").grid
    assert thin.tilt_degrees == pytest.approx(scan.grid.tilt_degrees)
    assert np.allclose(thin.ras((5, 6, 22)), scan.grid.ras((5, 6, 11)), atol=1e-3)


@pytest.fixture
def dicom(here, write_dicom_stack):
    """Write a series with slices at these positions in mm."""

    def write(heights, folder="dicom", **options):
        write_dicom_stack(here / folder, [(-10.0, 20.0, z) for z in heights], **options)
        return folder

    return write


EVEN = [0, 5, 10, 15, 20]


def test_a_dicom_folder_is_upsampled(dicom, command):
    status, out, _ = command(*cubic(dicom(EVEN)))
    assert status == 0
    assert "7 x 6 x 9 voxels, a slice every 2.5 mm" in out
    assert np.array_equal(files.read("thin.nrrd").voxels[::2], files.read("dicom").voxels)


def test_a_folder_with_two_series_lists_them_and_one_is_chosen(dicom, refused, command):
    dicom(EVEN, series="1.2.5")
    folder = dicom(EVEN[:4], series="1.2.6", first=50, SeriesDescription="lung")
    sentence = refused("bad-input", *cubic(folder))
    assert "2 series" in sentence
    assert "1.2.5 (thick, 5 images" in sentence
    assert "1.2.6 (lung, 4 images" in sentence
    status, out, _ = command(*cubic(folder, "--series", "1.2.6"))
    assert (status, "x 7 voxels" in out) == (0, True)
    assert "1.2.7" in refused("bad-input", "increase", folder, "other.nrrd", "--series", "1.2.7", "--method", "cubic")


def test_uneven_slices_are_refused_unless_resampling_is_requested(dicom, refused, command):
    folder = dicom([0, 5, 10, 20, 25])
    assert "evenly spaced" in refused("bad-geometry", *cubic(folder))
    status, out, err = command(*cubic(folder, "--resample-irregular"))
    assert (status, "x 11 voxels" in out) == (0, True)
    assert any("no longer exactly the acquired ones" in line for line in err)


def notes_of(command, *arguments):
    status, out, err = command("info", *arguments, "--json")
    assert (status, err) == (0, [])
    facts = json.loads(out)
    return facts, " ".join(facts["notes"])


def test_info_describes_a_scan_and_the_effect_of_each_factor(thick, command):
    facts, notes = notes_of(command, thick)
    assert facts["size"] == [24, 20, 12]
    assert facts["spacing_mm"] == [0.7, 0.8, 5.0]
    assert (facts["thickness_mm"], facts["slice_axis"], facts["slices"]) == (5.0, 2, 12)
    assert facts["voxel_type"] == "int16"
    assert notes == ""
    assert [row["factor"] for row in facts["factors"]] == list(FACTORS)
    assert [row["size"][2] for row in facts["factors"]] == [11 * factor + 1 for factor in FACTORS]
    assert all(row["memory_bytes"] > 0 and row["estimated_seconds"] >= 0 for row in facts["factors"])


def test_readable_info_has_the_same_facts(thick, command):
    status, out, _ = command("info", thick, "--thickness", "2.5")
    assert status == 0
    for words in ("24 x 20 x 12 voxels, int16", "0.7 x 0.8 x 5 mm", "2 (k), 12 slices", "2.5 mm", "leave gaps", "x8"):
        assert words in out


def test_info_reports_unusual_properties(here, make_scan, command):
    c, s = np.cos(0.2), np.sin(0.2)
    scans = {
        "oblique": make_scan(directions=np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])),
        "tilted": tilted(make_scan),
        "left-handed": make_scan(directions=np.diag([1, 1, -1])),
        "overlap": make_scan(thickness=7.0),
        "isotropic": make_scan(spacing=(1, 1, 1)),
    }
    for word, scan in scans.items():
        files.write(scan, here / f"{word}.nrrd")
        assert word in notes_of(command, f"{word}.nrrd")[1]


def test_info_reports_uneven_slices_instead_of_refusing_them(dicom, command):
    facts, notes = notes_of(command, dicom([0, 5, 10, 20, 25]))
    assert "10 mm between slices 3 and 4" in notes
    assert facts["size"] == [7, 6, 6]


def test_info_refuses_what_it_cannot_read(refused):
    refused("bad-input", "info", "none.nrrd")


def test_models_lists_the_bundled_models(command):
    assert command("models")[0] == 0


def test_an_unknown_model_is_refused(refused):
    assert "no bundled model 'nonesuch'" in refused("bad-model", "models", "nonesuch")


def test_help_and_version_work(command):
    for arguments in (["--help"], ["increase", "--help"], ["train", "--help"], ["run", "--help"]):
        status, out, _ = command(*arguments)
        assert (status, "usage:" in out) == (0, True)
    assert command("--version")[1] == f"ctslices {VERSION}\n"
    assert command()[0] == 2


def test_evaluate_writes_a_report_comparing_the_model_with_classical_methods(here, make_scan, tiny_weights, command):
    files.write(make_scan(size=(40, 36, 13), spacing=(0.8, 0.8, 2.0), thickness=2.0), here / "truth.nrrd")
    arguments = ("evaluate", "truth.nrrd", "--factor", 2, "--model", tiny_weights, "--device", "cpu", "--volumes")
    status, out, err = command(*arguments, "--out", "report folder")
    assert status == 0, err
    assert "three-view" in out
    assert sorted(path.name for path in (here / "report folder").iterdir()) == sorted(
        ["report.json", "report.md", "picture.png", "thick.nrrd", "thin.nrrd", "disagreement.nrrd"]
    )
    report = json.loads((here / "report folder" / "report.json").read_text())
    assert {"linear", "cubic", "bspline", "three-view"} == set(report["methods"])
    assert report["methods"]["three-view"]["acquired_max_error_hu"] == 0


def test_evaluate_refuses_unusable_input(here, thick, tiny_weights, refused):
    refused("bad-input", "evaluate", "none.nrrd", "--factor", 2, "--model", tiny_weights)
    refused("bad-option", "evaluate", thick, "--factor", 8, "--model", tiny_weights, "--axis", "2", "--device", "tpu")
    refused("bad-model", "evaluate", thick, "--factor", 2, "--model", "none.pt")
    (here / "file").write_bytes(b"")
    sentence = refused("cannot-write", "evaluate", thick, "--factor", 2, "--model", tiny_weights, "--out", "file/deep")
    assert "choose another" in sentence


@pytest.mark.parametrize(("said", "used"), [(None, "10000"), ("7", "7")])
def test_waiting_threads_do_not_spin_unless_the_user_sets_it(command, monkeypatch, said, used):
    monkeypatch.setenv("GOMP_SPINCOUNT", said or "")  # also restores the variable after the test
    if said is None:
        del os.environ["GOMP_SPINCOUNT"]
    command("models")
    assert os.environ["GOMP_SPINCOUNT"] == used
