"""Hostile names, streams, environments and files must never cause a signal, a hang or a traceback."""

import json
import os
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import REASONS
from CTSliceSynthesisEngine.jobs import commands
from CTSliceSynthesisEngine.volume import files

SECONDS = 60


@pytest.fixture
def scan(tmp_path, make_scan):
    files.write(make_scan(), tmp_path / "thick.nrrd")
    return tmp_path / "thick.nrrd"


def ended_well(done, status=None):
    """Return the message of a failed command, or "" if it succeeded."""
    assert done.returncode >= 0, f"signal {-done.returncode}"
    assert status is None or done.returncode == status, done.stderr
    assert "Traceback" not in (done.stderr or "")
    assert "Exception ignored" not in (done.stderr or "")
    lines = [line for line in (done.stderr or "").splitlines() if line.startswith("ctslices:")]
    assert len(lines) == (1 if done.returncode not in (0, 141) else 0), done.stderr
    return lines[0] if lines else ""


def shell(script, folder, child):
    """Run a shell command in which "$@" is ctslices."""
    command = [sys.executable, "-m", "CTSliceSynthesisEngine"]
    return subprocess.run(
        ["bash", "-c", script, "bash", *command], cwd=folder, capture_output=True, timeout=SECONDS, **child
    )


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ('"$@" info thick.nrrd | head -1 > /dev/null; exit ${PIPESTATUS[0]}', None),
        ('"$@" info thick.nrrd | true; exit ${PIPESTATUS[0]}', None),
        ('"$@" info thick.nrrd > /dev/full', 6),
        ('"$@" info thick.nrrd >&-', 0),
        ('"$@" increase thick.nrrd thin.nrrd --method cubic 2> /dev/full', 0),
        ('"$@" increase thick.nrrd thin.nrrd --method cubic >&- 2>&-', 0),
        ('"$@" --help | true; exit ${PIPESTATUS[0]}', None),
    ],
)
def test_closed_full_or_unread_streams_are_not_internal_errors(scan, child, script, status):
    done = shell(script, scan.parent, child)
    ended_well(done, status)
    if "increase" in script:
        assert (scan.parent / "thin.nrrd").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "x" * 300),
        ("info", "x" * 300 + ".nrrd"),
        ("increase", "thick.nrrd", "x" * 300 + ".nrrd", "--method", "cubic"),
        ("increase", "thick.nrrd", "thin.nrrd", "--model", "x" * 300),
        ("evaluate", "thick.nrrd", "--factor", "2", "--out", "x" * 300),
        ("increase-all", "x" * 300, "out"),
        ("train", "x" * 300, "--out", "model.pt"),
        ("train", ".", "--out", "x" * 300 + ".pt"),
        ("train", ".", "--out", "model.pt", "--threads", "-5"),
        ("train", ".", "--out", "model.pt", "--seed", str(2**70)),
        ("train", ".", "--out", "model.pt", "--seed", "-1"),
        ("increase", "thick.nrrd", "thin.nrrd", "--thickness", "5000"),
    ],
)
def test_arbitrary_arguments_give_a_message(scan, command, monkeypatch, arguments):
    monkeypatch.chdir(scan.parent)
    status, _, lines = command(*arguments)
    assert status in REASONS.values()
    assert [line.startswith("ctslices: ") and line.endswith(".") for line in lines] == [True]
    assert [path.name for path in scan.parent.iterdir()] == ["thick.nrrd"]


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("command", [("increase-all", ".", "out"), ("train", ".", "--out", "model.pt")])
def test_invalid_numbers_in_the_environment_give_a_message(scan, ctslices, child, name, command):
    child["env"][name] = "x"
    assert "must be whole numbers" in ended_well(ctslices(*command, cwd=scan.parent, **child), 5)


def test_a_damaged_speed_file_is_not_an_internal_error(scan, ctslices, child, tmp_path):
    cache = tmp_path / "cache" / "CTSliceSynthesis"
    cache.mkdir(parents=True)
    child["env"]["XDG_CACHE_HOME"] = child["env"]["LOCALAPPDATA"] = str(cache.parent)
    for content in (b"\xff\xfe\x00", b"[" * 100_000, b'{"cpu": [1]}'):
        (cache / "speed.json").write_bytes(content)
        ended_well(ctslices("info", scan, **child), 0)


@pytest.mark.parametrize("limit_mb", [60, 100, 150, 400])
def test_too_little_memory_gives_a_message(scan, ctslices, limit_mb):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))

    done = ctslices("increase", scan, scan.with_name("thin.nrrd"), preexec_fn=limited, timeout=SECONDS)
    assert done.returncode >= 0
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "ctslices: " in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_undecodable_names_are_read_and_shown(tmp_path, write_dicom_stack, make_scan, ctslices):
    odd = os.fsdecode(b"\xff\xfe scan")
    write_dicom_stack(tmp_path / odd, [(0, 0, 5.0 * n) for n in range(6)])
    (tmp_path / odd / os.fsdecode(b"\xfejunk")).write_bytes(b"junk")
    files.write(make_scan(), tmp_path / "thick.nrrd")
    (tmp_path / "thick.nrrd").rename(tmp_path / f"{odd}.nrrd")
    for name in (odd, f"{odd}.nrrd"):
        ended_well(ctslices("info", tmp_path / name), 0)
        ended_well(ctslices("increase", tmp_path / name, tmp_path / "thin.nrrd", "--method", "cubic", "--overwrite"), 0)
    done = ctslices("increase", tmp_path / odd, tmp_path / f"{odd}/thin.nrrd", "--method", "cubic")
    assert "udcff" in ended_well(done, 6)
    done = ctslices("increase-all", tmp_path, tmp_path / "out", "--method", "cubic")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a POSIX thing")
def test_pipes_do_not_block(tmp_path, scan, ctslices):
    for name in ("scan.nrrd", "weights.pt", "request.json", "list.txt", "slice.dcm"):
        os.mkfifo(tmp_path / name)
    for arguments in (
        ("info", "scan.nrrd"),
        ("info", "slice.dcm"),
        ("increase", "thick.nrrd", "thin.nrrd", "--model", "weights.pt"),
        ("train", "list.txt", "--out", "model.pt"),
    ):
        assert ended_well(ctslices(*arguments, cwd=tmp_path, timeout=SECONDS))
    done = ctslices("run", "request.json", cwd=tmp_path, timeout=SECONDS)
    assert json.loads(done.stdout)["reason"] == "bad-request"


def test_devices_as_weights_or_request_are_refused(scan, ctslices):
    assert "not a regular file" in ended_well(ctslices("increase", scan, "thin.nrrd", "--model", "/dev/zero"), 7)
    done = ctslices("run", "/dev/zero", timeout=SECONDS)
    assert json.loads(done.stdout)["reason"] == "bad-request"


def test_a_deeply_nested_request_is_refused(tmp_path, ctslices):
    (tmp_path / "request.json").write_text("[" * 200_000)
    done = ctslices("run", tmp_path / "request.json")
    assert json.loads(done.stdout)["reason"] == "bad-request"


def test_a_request_from_a_windows_editor_is_read(tmp_path, scan, ctslices):
    request = {
        "version": 1,
        "job": "increase",
        "input": str(scan),
        "output": str(tmp_path / "thin.nrrd"),
        "method": "cubic",
    }
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8-sig")
    assert ctslices("run", tmp_path / "request.json").returncode == 0


def test_an_internal_error_gives_one_sentence(monkeypatch, capsys, scan):
    monkeypatch.setattr(files, "open_scan", lambda *_, **__: 1 / 0)
    assert commands.main(["info", str(scan)]) == 70
    assert "A defect of this program: ZeroDivisionError" in capsys.readouterr().err


def test_compressed_slices_that_claim_gigabytes_are_refused(tmp_path, write_dicom_stack):
    import pydicom
    from CTSliceSynthesisEngine.errors import SynthesisError
    from pydicom.uid import RLELossless

    for path in write_dicom_stack(tmp_path, [(0, 0, 5.0 * n) for n in range(6)]):
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.Rows = data.Columns = 60000
        data.save_as(path)
    with pytest.raises(SynthesisError, match="cannot hold 7200000000 bytes"):
        files.read(tmp_path)


def jpeg_slice(path, index):
    """Write a JPEG 2000 slice, and return its file."""
    import SimpleITK as sitk

    noise = np.random.default_rng(index).integers(0, 1000, (1, 32, 32)).astype(np.int16)
    image = sitk.GetImageFromArray(noise)
    image.SetSpacing((0.7, 0.7, 5.0))
    tags = {"0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"1.2.9.{index}", "0008|0060": "CT", "0018|0050": "5",
            "0020|000d": "1.2.3", "0020|000e": "1.2.5", "0020|0032": f"0\\0\\{5 * index}",
            "0020|0037": "1\\0\\0\\0\\1\\0", "0028|1052": "0", "0028|1053": "1"}  # fmt: skip
    for tag, value in tags.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG2000")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)
    return path


def claims_other_size(content):
    """The size in the JPEG 2000 code stream, DICOM's rows and columns unchanged."""
    at = content.index(b"\xff\x51")
    for offset in (6, 22):
        struct.pack_into(">II", content, at + offset, 60000, 60000)


def lacks_bytes(content):
    """In the only fragment, so that its length leads behind the end of the pixels."""
    at = content.index(b"\xfe\xff\x00\xe0", content.index(b"\xfe\xff\x00\xe0") + 4) + 8
    del content[at + 70 : at + 89]


@pytest.mark.parametrize("change", [claims_other_size, lacks_bytes])
def test_damaged_streams_are_refused_without_taking_gigabytes(tmp_path, ctslices, write_dicom_stack, change):
    import pydicom

    folder = tmp_path / "series"
    folder.mkdir()
    if change is claims_other_size:
        paths = [jpeg_slice(folder / f"{index}.dcm", index) for index in range(6)]
    else:
        paths = write_dicom_stack(folder, [(0, 0, 5.0 * n) for n in range(6)])
        for path in paths:
            data = pydicom.dcmread(path)
            data.compress(pydicom.uid.RLELossless)
            data.save_as(path)
    whole = ctslices("increase", folder, tmp_path / "whole.nrrd", "--method", "cubic")
    assert whole.returncode == 0, whole.stderr
    content = bytearray(paths[3].read_bytes())
    change(content)
    paths[3].write_bytes(content)
    damaged = ctslices("increase", folder, tmp_path / "thin.nrrd", "--method", "cubic")
    assert damaged.returncode == REASONS["bad-input"], damaged.stderr
    assert str(paths[3]) in damaged.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 2e9


@pytest.mark.parametrize("damage", range(12))
def test_damaged_compressed_slices_do_not_crash_the_process(tmp_path, write_dicom_stack, damage):
    import pydicom
    from CTSliceSynthesisEngine.errors import SynthesisError
    from pydicom.uid import RLELossless

    rng = np.random.default_rng(damage)
    paths = write_dicom_stack(tmp_path, [(0, 0, 5.0 * n) for n in range(6)])
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    content = bytearray(paths[2].read_bytes())
    for at in rng.integers(len(content) - 120, len(content), 6):
        content[at] = rng.integers(0, 256)
    paths[2].write_bytes(content)
    try:
        assert files.read(tmp_path).voxels.shape == (6, 6, 7)
    except SynthesisError as error:
        assert str(error).endswith(".")
