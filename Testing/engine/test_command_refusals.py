"""Refusals of the command line: one sentence, an exit status, and no files left behind."""

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
from CTSliceSynthesisEngine.volume import files
from test_commands import cubic, posix


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


def test_files_that_are_not_images_are_refused(here, refused):
    (here / "letter.pdf").write_bytes(b"%PDF-1.4")
    assert "none of these" in refused("bad-input", *cubic("letter.pdf"))
    (here / "folder").mkdir()
    assert "no CT images" in refused("bad-input", *cubic("folder"))


@pytest.mark.parametrize(
    ("shape", "is_vector", "word"),
    [((9, 10), False, "three dimensions"), ((2, 4, 9, 10), False, "three dimensions"), ((4, 9, 10, 3), True, "color")],
)
def test_images_that_are_not_scalar_volumes_are_refused(here, refused, shape, is_vector, word):
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
def test_non_finite_voxels_are_refused(here, refused, make_scan, value):
    scan = make_scan(dtype=np.float32)
    scan.voxels[3, 2, 1] = value
    sitk.WriteImage(sitk.GetImageFromArray(scan.voxels), "odd.nrrd")
    refused("bad-input", *cubic("odd.nrrd", "--accept-isotropic"))


def test_a_constant_volume_is_refused(here, refused, make_volume):
    files.write(make_volume(voxels=np.zeros((5, 6, 7), np.int16)), here / "flat.nrrd")
    assert "All voxels have the value 0" in refused("bad-input", *cubic("flat.nrrd"))


def test_values_like_those_of_an_mr_give_a_warning_only(here, make_volume, command):
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
    [
        ("none/thin.nrrd", "does not exist"),
        ("thin.dcm", "has another suffix"),
        ("thin", "has another suffix"),
        (".", "has another suffix"),
    ],
)
def test_invalid_output_names_are_refused(thick, refused, name, word):
    assert word in refused("cannot-write", "increase", thick, name, "--method", "cubic")


def test_spaces_and_unicode_are_supported_even_on_an_ascii_console(here, make_scan, ctslices, child):
    folder = here / "Größe 厚"
    folder.mkdir()
    files.write(make_scan(), folder / "dick é.nrrd")
    child["env"]["PYTHONIOENCODING"] = "ascii"
    arguments = ("increase", folder / "dick é.nrrd", folder / "dünn 薄.nii", "--method", "linear")
    done = ctslices(*arguments, env=child["env"])
    assert done.returncode == 0, done.stderr
    assert files.read(folder / "dünn 薄.nii").voxels.shape == (23, 20, 24)


def without_override():
    """Drop the capability that lets root write anywhere, before the command starts (Linux)."""
    if sys.platform == "linux" and os.geteuid() == 0:
        drop_from_bounding_set, override, search = 24, 1, 2
        for right in (override, search):
            ctypes.CDLL(None).prctl(drop_from_bounding_set, right, 0, 0, 0)


@posix
def test_an_unwritable_folder_is_refused_before_the_run(here, make_scan, ctslices):
    files.write(make_scan(), here / "thick.nrrd")
    (here / "locked").mkdir()
    (here / "locked").chmod(0o555)
    arguments = ("increase", here / "thick.nrrd", here / "locked" / "thin.nrrd", "--method", "cubic")
    done = ctslices(*arguments, preexec_fn=without_override)
    one_sentence(done, "cannot-write", "change its permissions")
    assert not list((here / "locked").iterdir())


@posix
def test_an_unreadable_input_is_refused(here, make_scan, ctslices):
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
    """Limit file sizes, which makes the same system call fail as a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@posix
@pytest.mark.parametrize("suffix", [".nrrd", ".nii"])
def test_a_full_disk_leaves_no_files(here, make_scan, ctslices, suffix):
    files.write(make_scan(size=(60, 60, 12)), here / "thick.nrrd")
    (here / "out").mkdir()
    arguments = ("increase", here / "thick.nrrd", here / "out" / f"thin{suffix}", "--method", "linear")
    one_sentence(ctslices(*arguments, preexec_fn=small_disk), "cannot-write", "could not be written completely")
    assert not list((here / "out").iterdir())


@pytest.mark.parametrize("factor", ["1", "9", "0", "-3"])
def test_invalid_factors_are_refused(thick, refused, factor):
    assert f"from 2 to 8, not {factor}" in refused("bad-option", *cubic(thick, "--factor", factor))


@pytest.mark.parametrize(
    "options",
    [("--factor", "two"), ("--factor", "2", "--isotropic"), ("--method", "sinc"), ("--axis", "3"), ("--fctor", "2")],
)
def test_unparsable_options_are_reported_with_the_usage(here, thick, command, options):
    status, out, err = command("increase", thick, "thin.nrrd", *options)
    assert status == 2
    assert out == ""
    assert err[-1].startswith("ctslices increase: error:") or err[-1].startswith("ctslices: error:")
    assert not (here / "thin.nrrd").exists()


def test_a_spacing_or_isotropy_is_approximated_by_a_whole_factor(here, thick, command):
    status, out, err = command(*cubic(thick, "--spacing", "1.6"))
    assert (status, "a slice every 1.667 mm" in out) == (0, True)
    assert any("nearest whole factor is 3" in line for line in err)
    status, out, _ = command(*cubic(thick, "--isotropic", "--overwrite"))
    assert (status, "a slice every 0.7143 mm" in out) == (0, True)


@pytest.mark.parametrize("thickness", ["0", "-1", "nan", "inf"])
def test_an_implausible_thickness_is_refused(thick, refused, thickness):
    assert "must be between 0.05 and 50 mm" in refused("bad-option", *cubic(thick, f"--thickness={thickness}"))


@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_missing_gpu_is_refused(thick, tiny_weights, refused, device):
    arguments = ("increase", thick, "thin.nrrd", "--model", tiny_weights, "--device", device)
    assert "--device cpu or auto" in refused("device", *arguments)


def test_an_unknown_device_is_refused(thick, tiny_weights, refused):
    arguments = ("increase", thick, "thin.nrrd", "--model", tiny_weights, "--device", "tpu")
    assert "auto, cpu, mps, cuda or cuda:n" in refused("bad-option", *arguments)


def test_missing_damaged_or_mismatched_weights_are_refused(here, thick, tiny_weights, refused):
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


def test_running_out_of_memory_is_reported_in_one_sentence(thick, refused, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(increase.pipeline, "synthesize", fail)
    assert "memory ran out" in refused("no-memory", *cubic(thick))


def test_an_interruption_is_reported_in_one_sentence(thick, refused, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(increase.pipeline, "synthesize", fail)
    assert "stopped" in refused("interrupted", *cubic(thick))


@posix
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_reports_it_and_leaves_no_files(here, make_scan, tiny_weights, child, stop):
    files.write(make_scan(size=(200, 200, 48)), here / "thick.nrrd")
    (here / "out").mkdir()
    request = {"version": 1, "job": "increase", "input": str(here / "thick.nrrd"), "factor": 8, "device": "cpu"}
    request |= {
        "output": str(here / "out" / "thin.nrrd"),
        "outputs": {"disagreement": str(here / "out" / "spread.nrrd")},
    }
    (here / "request.json").write_text(json.dumps(request | {"model": str(tiny_weights)}))
    process = subprocess.Popen(
        [sys.executable, "-m", "CTSliceSynthesisEngine", "run", str(here / "request.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
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
