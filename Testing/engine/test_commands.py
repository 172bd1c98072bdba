"""The command line: whatever comes in, the answer is a result, or one sentence, an exit status, and nothing left behind."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from CTSliceSynthesisEngine.errors import REASONS
from CTSliceSynthesisEngine.jobs import increase
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.networks.registry import bundled_models, default_model
from CTSliceSynthesisEngine.synthesis import plan as plans
from CTSliceSynthesisEngine.version import VERSION
from CTSliceSynthesisEngine.volume import files

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
posix = pytest.mark.skipif(os.name != "posix", reason="signals, permissions and limits of POSIX")


@pytest.fixture(autouse=True)
def handlers_go_back():
    """`main` takes over SIGTERM, as a command may; the tests' own process gets its handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder of the test, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def thick(here, make_scan):
    files.write(make_scan(thickness=5.0), here / "thick.nrrd")
    return "thick.nrrd"


@pytest.fixture
def command(capsys):
    """Run `ctslices` in this process: exit status, what it prints, and its sentences on standard error."""

    def run(*arguments):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as stopped:  # argparse
            status = stopped.code
        out, err = capsys.readouterr()
        return status, out, [line for line in err.splitlines() if line.strip() and "%|" not in line]

    return run


@pytest.fixture
def refused(here, command):
    """Run `ctslices` to be refused: the one sentence, after checking that nothing was left behind or changed."""

    def run(reason, *arguments):
        before = snapshot(here)
        status, out, err = command(*arguments)
        assert status == REASONS[reason], err
        assert out == ""
        assert len(err) == 1, err
        assert err[0].startswith("ctslices: ")
        assert err[0].endswith(".")
        assert snapshot(here) == before
        return err[0]

    return run


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def cubic(source, *more):
    return ("increase", source, "thin.nrrd", "--method", "cubic", *more)


# What goes in


def test_a_scan_becomes_thin(here, thick, tiny_weights, command):
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


def test_the_header_says_what_a_run_was_made_with(here, thick, tiny_weights, command):
    options = ("--model", tiny_weights, "--device", "cpu", "--acquired", "thin", "--precision", "float32")
    status, _, err = command("increase", thick, "thin.nrrd", "--factor", 4, *options)
    assert status == 0, err
    told = header_of("thin.nrrd")
    assert (told["acquired"], told["precision"], told["device"], told["model"]) == ("thin", "float32", "cpu", "tiny.pt")
    assert not np.array_equal(files.read("thin.nrrd").voxels[::4], files.read(thick).voxels)
    assert files.read("thin.nrrd").grid.thickness == 1.25


def test_the_same_command_gives_the_same_file_again(here, thick, tiny_weights, command):
    for name in ("first.nrrd", "second.nrrd"):
        assert command("increase", thick, name, "--model", tiny_weights, "--device", "cpu")[0] == 0
    assert (here / "first.nrrd").read_bytes() == (here / "second.nrrd").read_bytes()


def test_a_thickness_that_nobody_tells_is_estimated_and_said_but_not_written_as_if_it_were_known(
    here, make_scan, tiny_weights, command
):
    files.write(make_scan(size=(48, 40, 16)), here / "unknown.nrrd")
    status, _, err = command("increase", "unknown.nrrd", "thin.nrrd", "--model", tiny_weights, "--device", "cpu")
    assert status == 0
    assert any("The slice thickness is unknown and estimated from the scan itself: " in line for line in err)
    assert files.read("thin.nrrd").grid.thickness is None
    facts = json.loads(command("info", "unknown.nrrd", "--json")[1])
    assert facts["thickness_mm"] is None
    assert 0 < facts["estimated_thickness_mm"] < 10
    assert (
        f"unknown, about {facts['estimated_thickness_mm']:.2g} mm by the scan itself"
        in command("info", "unknown.nrrd")[1]
    )


def test_info_tells_what_each_bundled_model_would_take(thick, command):
    facts = json.loads(command("info", thick, "--json")[1])
    names = [model.name for model in bundled_models()]
    assert facts["estimated_thickness_mm"] is None
    for row in facts["factors"]:
        assert list(row["models"]) == names
        assert row["estimated_seconds"] == row["models"]["compact"]


def test_a_graphics_card_computes_with_the_larger_model_where_there_is_one():
    names = [model.name for model in bundled_models()]
    assert default_model("cpu") == "compact"
    assert default_model("cuda") == ("quality" if "quality" in names else "compact")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_every_voxel_type_goes_through(here, make_scan, tiny_weights, command, dtype, suffix):
    files.write(make_scan(size=(10, 9, 4), dtype=dtype), here / f"thick{suffix}")
    status, _, err = command("increase", f"thick{suffix}", f"thin{suffix}", "--model", tiny_weights, "--device", "cpu")
    assert status == 0, err
    thin = files.read(here / f"thin{suffix}").voxels
    assert thin.dtype == np.dtype(dtype)
    assert np.array_equal(thin[::2], files.read(here / f"thick{suffix}").voxels)


@pytest.mark.parametrize("name", ["none.nrrd", "none", "dose.txt"])
def test_a_missing_file_is_refused(refused, name):
    assert "does not exist" in refused("bad-input", *cubic(name))


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_empty_truncated_and_foreign_files_are_refused(here, refused, make_scan, suffix):
    files.write(make_scan(), here / f"whole{suffix}")
    content = (here / f"whole{suffix}").read_bytes()
    for name, kept in (("empty", b""), ("cut", content[: len(content) * 2 // 3]), ("text", b"no image " * 99)):
        (here / f"{name}{suffix}").write_bytes(kept)
        refused("bad-input", *cubic(f"{name}{suffix}"))


def test_files_that_are_no_images_are_refused(here, refused):
    (here / "letter.pdf").write_bytes(b"%PDF-1.4")
    assert "none of these" in refused("bad-input", *cubic("letter.pdf"))
    (here / "folder").mkdir()
    assert "no CT images" in refused("bad-input", *cubic("folder"))


@pytest.mark.parametrize(
    ("shape", "is_vector", "word"),
    [((9, 10), False, "three dimensions"), ((2, 4, 9, 10), False, "three dimensions"), ((4, 9, 10, 3), True, "colour")],
)
def test_images_that_are_no_scalar_volume_are_refused(here, refused, shape, is_vector, word):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=is_vector), "odd.nrrd")
    assert word in refused("bad-input", *cubic("odd.nrrd"))


def test_too_few_slices_are_refused(here, refused, make_scan):
    files.write(make_scan(size=(9, 8, 1)), here / "one.nrrd")
    assert "At least two slices" in refused("bad-input", *cubic("one.nrrd"))
    files.write(make_scan(size=(9, 8, 3)), here / "three.nrrd")
    sentence = refused("bad-input", "increase", "three.nrrd", "thin.nrrd", "--method", "bspline")
    assert "at least 4 slices, found 3" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_refused(here, refused, make_scan, value):
    scan = make_scan(dtype=np.float32)
    scan.voxels[3, 2, 1] = value
    sitk.WriteImage(sitk.GetImageFromArray(scan.voxels), "odd.nrrd")
    refused("bad-input", *cubic("odd.nrrd", "--accept-isotropic"))


def test_a_volume_of_one_value_is_refused(here, refused, make_volume):
    files.write(make_volume(voxels=np.zeros((5, 6, 7), np.int16)), here / "flat.nrrd")
    assert "All voxels have the value 0" in refused("bad-input", *cubic("flat.nrrd"))


def test_values_like_those_of_an_mr_are_warned_of_and_go_through(here, make_volume, command):
    voxels = np.random.default_rng(0).integers(0, 256, (5, 6, 7)).astype(np.uint8)
    files.write(make_volume(voxels=voxels), here / "mr.nrrd")
    status, _, err = command(*cubic("mr.nrrd"))
    assert status == 0
    assert len([line for line in err if "do not look like HU" in line]) == 1
    assert np.array_equal(files.read("thin.nrrd").voxels[::2], voxels)


def test_an_isotropic_scan_is_refused_unless_accepted(here, make_scan, refused, command):
    files.write(make_scan(spacing=(1, 1, 1)), here / "thin_already.nrrd")
    assert "--accept-isotropic" in refused("bad-geometry", *cubic("thin_already.nrrd"))
    assert command(*cubic("thin_already.nrrd", "--accept-isotropic"))[0] == 0


# What comes out


def test_an_existing_output_is_replaced_only_when_allowed(here, thick, refused, command):
    (here / "thin.nrrd").write_bytes(b"old")
    assert "exists" in refused("cannot-write", *cubic(thick))
    assert command(*cubic(thick, "--overwrite"))[0] == 0
    assert files.read("thin.nrrd").voxels.shape == (23, 20, 24)


@pytest.mark.parametrize("name", ["thick.nrrd", "../here/thick.nrrd", "link.nrrd"])
def test_the_input_is_never_replaced(here, thick, refused, name):
    (here / "here").mkdir()
    name = name.replace("../here", str(here / "here" / ".."))
    (here / "link.nrrd").symlink_to(here / "thick.nrrd")
    sentence = refused("cannot-write", "increase", thick, name, "--method", "cubic", "--overwrite")
    assert "must not replace the input" in sentence


@pytest.mark.parametrize(
    ("name", "word"),
    [("none/thin.nrrd", "does not exist"), ("thin.dcm", "ends otherwise"), ("thin", "ends otherwise"), (".", "ends")],
)
def test_outputs_that_cannot_be_are_refused(thick, refused, name, word):
    assert word in refused("cannot-write", "increase", thick, name, "--method", "cubic")


def test_spaces_and_letters_of_any_script_are_fine_even_on_an_ascii_console(here, make_scan, ctslices, child):
    folder = here / "Größe 厚"
    folder.mkdir()
    files.write(make_scan(), folder / "dick é.nrrd")
    child["env"]["PYTHONIOENCODING"] = "ascii"
    arguments = ("increase", folder / "dick é.nrrd", folder / "dünn 薄.nii", "--method", "linear")
    done = ctslices(*arguments, env=child["env"])
    assert done.returncode == 0, done.stderr
    assert files.read(folder / "dünn 薄.nii").voxels.shape == (23, 20, 24)


def without_override():
    """Root may write anywhere, except without this right, which is given up before the command starts (Linux)."""
    if sys.platform == "linux" and os.geteuid() == 0:
        drop_from_bounding_set, override, search = 24, 1, 2
        for right in (override, search):
            ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0)


@posix
def test_a_folder_that_may_not_be_written_is_refused_before_the_work(here, make_scan, ctslices):
    files.write(make_scan(), here / "thick.nrrd")
    (here / "locked").mkdir()
    (here / "locked").chmod(0o555)
    arguments = ("increase", here / "thick.nrrd", here / "locked" / "thin.nrrd", "--method", "cubic")
    done = ctslices(*arguments, preexec_fn=without_override)
    one_sentence(done, "cannot-write", "change its permissions")
    assert not list((here / "locked").iterdir())


@posix
def test_an_input_that_may_not_be_read_is_refused(here, make_scan, ctslices):
    files.write(make_scan(), here / "thick.nrrd")
    (here / "thick.nrrd").chmod(0)
    done = ctslices("increase", here / "thick.nrrd", here / "thin.nrrd", preexec_fn=without_override)
    one_sentence(done, "bad-input")


def one_sentence(done, reason, word=""):
    assert done.returncode == REASONS[reason], done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip() and "%|" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ctslices: ")
    assert word in lines[0]


def small_disk():
    """A limit on file sizes fails the same system call as a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@posix
@pytest.mark.parametrize("suffix", [".nrrd", ".nii"])
def test_on_a_full_disk_nothing_is_left(here, make_scan, ctslices, suffix):
    files.write(make_scan(size=(60, 60, 12)), here / "thick.nrrd")
    (here / "out").mkdir()
    arguments = ("increase", here / "thick.nrrd", here / "out" / f"thin{suffix}", "--method", "linear")
    one_sentence(ctslices(*arguments, preexec_fn=small_disk), "cannot-write", "could not be written whole")
    assert not list((here / "out").iterdir())


# Options


@pytest.mark.parametrize("factor", ["1", "9", "0", "-3"])
def test_factors_outside_the_rule_are_refused(thick, refused, factor):
    assert f"from 2 to 8, not {factor}" in refused("bad-option", *cubic(thick, "--factor", factor))


@pytest.mark.parametrize(
    "options",
    [("--factor", "two"), ("--factor", "2", "--isotropic"), ("--method", "sinc"), ("--axis", "3"), ("--fctor", "2")],
)
def test_options_that_cannot_be_read_are_told_with_the_usage(here, thick, command, options):
    status, out, err = command("increase", thick, "thin.nrrd", *options)
    assert status == 2
    assert out == ""
    assert err[-1].startswith("ctslices increase: error:") or err[-1].startswith("ctslices: error:")
    assert not (here / "thin.nrrd").exists()


def test_a_spacing_or_isotropy_is_met_as_near_as_a_whole_factor_can(here, thick, command):
    status, out, err = command(*cubic(thick, "--spacing", "1.6"))
    assert (status, "a slice every 1.667 mm" in out) == (0, True)
    assert any("nearest whole factor is 3" in line for line in err)
    status, out, _ = command(*cubic(thick, "--isotropic", "--overwrite"))
    assert (status, "a slice every 0.7143 mm" in out) == (0, True)


@pytest.mark.parametrize("thickness", ["0", "-1", "nan", "inf"])
def test_a_thickness_that_cannot_be_is_refused(thick, refused, thickness):
    assert "must lie from 0.05 to 50 mm" in refused("bad-option", *cubic(thick, f"--thickness={thickness}"))


@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_graphics_card_that_is_not_there_is_refused(thick, tiny_weights, refused, device):
    arguments = ("increase", thick, "thin.nrrd", "--model", tiny_weights, "--device", device)
    assert "--device cpu or auto" in refused("device", *arguments)


def test_an_unknown_device_is_refused(thick, tiny_weights, refused):
    arguments = ("increase", thick, "thin.nrrd", "--model", tiny_weights, "--device", "tpu")
    assert "auto, cpu, mps, cuda or cuda:n" in refused("bad-option", *arguments)


def test_weights_that_are_missing_damaged_or_of_another_recipe_are_refused(here, thick, tiny_weights, refused):
    content = tiny_weights.read_bytes()
    (here / "cut.pt").write_bytes(content[: len(content) // 2])
    stored = torch.load(tiny_weights, weights_only=True)
    stored["recipe"]["through_plane"]["channels"] = 16
    torch.save(stored, here / "odd.pt")
    for name, word in (("none.pt", "cannot be read"), ("cut.pt", "damaged"), ("odd.pt", "does not match its recipe")):
        assert word in refused("bad-model", "increase", thick, "thin.nrrd", "--model", name)


def test_a_run_that_does_not_fit_into_memory_is_refused_before_it_starts(thick, refused, monkeypatch):
    monkeypatch.setattr(increase, "available_memory", lambda: 10_000)
    assert "GB of memory" in refused("no-memory", *cubic(thick))


def test_memory_that_runs_out_all_the_same_is_told_in_one_sentence(thick, refused, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(increase.pipeline, "synthesize", fail)
    assert "memory ran out" in refused("no-memory", *cubic(thick))


def test_an_interruption_is_told_in_one_sentence(thick, refused, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(increase.pipeline, "synthesize", fail)
    assert "stopped" in refused("interrupted", *cubic(thick))


# Stops


@posix
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_half_way_says_so_and_leaves_nothing(here, make_scan, tiny_weights, child, stop):
    files.write(make_scan(size=(200, 200, 48)), here / "thick.nrrd")
    (here / "out").mkdir()
    request = {"version": 1, "job": "increase", "input": str(here / "thick.nrrd"), "factor": 8, "device": "cpu"}
    request |= {"output": str(here / "out" / "thin.nrrd"), "disagreement": str(here / "out" / "spread.nrrd")}
    (here / "request.json").write_text(json.dumps(request | {"model": str(tiny_weights)}))
    process = subprocess.Popen(
        [sys.executable, "-m", "CTSliceSynthesisEngine", "run", str(here / "request.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
        **child,
    )
    guard = threading.Timer(300, process.kill)
    guard.start()
    with contextlib.closing(process.stdout), contextlib.closing(process.stderr):
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                break
        process.send_signal(stop)
        last = json.loads(process.stdout.read().splitlines()[-1])
        trouble = process.stderr.read()
    status = process.wait()
    guard.cancel()
    assert (last["event"], last["reason"]) == ("failed", "interrupted")
    assert status == 130
    assert trouble == ""
    assert not list((here / "out").iterdir())


# Geometry and DICOM


def tilted(make_scan):
    directions = np.eye(3)
    directions[:, 2] = [0, np.sin(0.3), np.cos(0.3)]
    return make_scan(directions=directions)


def test_gantry_tilt_is_kept_in_nrrd_and_refused_for_nifti(here, make_scan, refused, command):
    scan = tilted(make_scan)
    files.write(scan, here / "tilted.nrrd")
    sentence = refused("bad-geometry", "increase", "tilted.nrrd", "thin.nii.gz", "--method", "cubic")
    assert "NIfTI cannot hold gantry tilt" in sentence
    assert command(*cubic("tilted.nrrd"))[0] == 0
    thin = files.read("thin.nrrd").grid
    assert thin.tilt_degrees == pytest.approx(scan.grid.tilt_degrees)
    assert np.allclose(thin.ras((5, 6, 22)), scan.grid.ras((5, 6, 11)), atol=1e-3)


@pytest.fixture
def dicom(here, write_dicom_stack):
    """Write a series with slices at these heights in mm."""

    def write(heights, folder="dicom", **options):
        write_dicom_stack(here / folder, [(-10.0, 20.0, z) for z in heights], **options)
        return folder

    return write


EVEN = [0, 5, 10, 15, 20]


def test_a_dicom_folder_becomes_thin(dicom, command):
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


def test_uneven_slices_are_refused_unless_resampling_is_asked_for(dicom, refused, command):
    folder = dicom([0, 5, 10, 20, 25])
    assert "evenly spaced" in refused("bad-geometry", *cubic(folder))
    status, out, err = command(*cubic(folder, "--resample-irregular"))
    assert (status, "x 11 voxels" in out) == (0, True)
    assert any("no longer exactly those acquired" in line for line in err)


# info, models, help


def notes_of(command, *arguments):
    status, out, err = command("info", *arguments, "--json")
    assert (status, err) == (0, [])
    facts = json.loads(out)
    return facts, " ".join(facts["notes"])


def test_info_tells_what_a_scan_is_and_what_each_factor_makes_of_it(thick, command):
    facts, notes = notes_of(command, thick)
    assert facts["size"] == [24, 20, 12]
    assert facts["spacing_mm"] == [0.7, 0.8, 5.0]
    assert (facts["thickness_mm"], facts["slice_axis"], facts["slices"]) == (5.0, 2, 12)
    assert facts["voxel_type"] == "int16"
    assert notes == ""
    assert [row["factor"] for row in facts["factors"]] == list(plans.FACTORS)
    assert [row["size"][2] for row in facts["factors"]] == [11 * factor + 1 for factor in plans.FACTORS]
    assert all(row["memory_bytes"] > 0 and row["estimated_seconds"] >= 0 for row in facts["factors"])


def test_info_for_people_has_the_same_facts(thick, command):
    status, out, _ = command("info", thick, "--thickness", "2.5")
    assert status == 0
    for words in ("24 x 20 x 12 voxels, int16", "0.7 x 0.8 x 5 mm", "2 (k), 12 slices", "2.5 mm", "leave gaps", "x8"):
        assert words in out


def test_info_names_what_is_unusual(here, make_scan, command):
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


def test_info_tells_of_uneven_slices_instead_of_refusing_them(dicom, command):
    facts, notes = notes_of(command, dicom([0, 5, 10, 20, 25]))
    assert "10 mm between slices 3 and 4" in notes
    assert facts["size"] == [7, 6, 6]


def test_info_refuses_what_it_cannot_read(refused):
    refused("bad-input", "info", "none.nrrd")


def test_models_lists_what_is_bundled(command):
    assert command("models")[0] == 0


def test_an_unknown_model_is_refused(refused):
    assert "no bundled model 'nonesuch'" in refused("bad-model", "models", "nonesuch")


def test_help_and_version_are_there(command):
    for arguments in (["--help"], ["increase", "--help"], ["train", "--help"], ["run", "--help"]):
        status, out, _ = command(*arguments)
        assert (status, "usage:" in out) == (0, True)
    assert command("--version")[1] == f"ctslices {VERSION}\n"
    assert command()[0] == 2


def test_evaluate_writes_a_report_in_which_the_model_stands_beside_its_rivals(here, make_scan, tiny_weights, command):
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


def test_evaluate_refuses_what_it_cannot_measure(here, thick, tiny_weights, refused):
    refused("bad-input", "evaluate", "none.nrrd", "--factor", 2, "--model", tiny_weights)
    refused("bad-option", "evaluate", thick, "--factor", 8, "--model", tiny_weights, "--axis", "2", "--device", "tpu")
    refused("bad-model", "evaluate", thick, "--factor", 2, "--model", "none.pt")
    (here / "file").write_bytes(b"")
    sentence = refused("cannot-write", "evaluate", thick, "--factor", 2, "--model", tiny_weights, "--out", "file/deep")
    assert "choose another" in sentence


@pytest.mark.parametrize(("said", "used"), [(None, "10000"), ("7", "7")])
def test_threads_that_wait_do_not_spin_for_long_unless_the_user_wants_it(command, monkeypatch, said, used):
    monkeypatch.setenv("GOMP_SPINCOUNT", said or "")  # also puts the variable back after the test
    if said is None:
        del os.environ["GOMP_SPINCOUNT"]
    command("models")
    assert os.environ["GOMP_SPINCOUNT"] == used
