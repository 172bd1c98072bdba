"""Atomic output of single and multiple files, without leftovers."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from CTSliceSynthesisEngine import whole_file
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.folders import scans_below

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and signals are a POSIX thing")


def three(make_volume, folder):
    return [(make_volume(size=(4, 4, n)), folder / f"{n}.nrrd", {}) for n in (3, 4, 5)]


def test_of_two_runs_with_one_output_the_second_fails(tmp_path, make_volume, monkeypatch):
    """Both runs found the name unused, and the other one was faster."""
    path, check = tmp_path / "ct.nrrd", files.check_writable

    def checked(*given, **options):
        check(*given, **options)
        files_write(make_volume(size=(3, 3, 3)), path)

    def files_write(volume, target):
        monkeypatch.setattr(files, "check_writable", check)
        files.write(volume, target)

    monkeypatch.setattr(files, "check_writable", checked)
    with pytest.raises(SynthesisError, match="written by another process in the meantime") as caught:
        files.write(make_volume(), path)
    assert caught.value.reason == "cannot-write"
    assert files.read(path).voxels.shape == (3, 3, 3)
    assert [actual.name for actual in tmp_path.iterdir()] == ["ct.nrrd"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_same_holds_without_hard_links(tmp_path, make_volume, monkeypatch, overwrite):
    def link(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    files.write(make_volume(), tmp_path / "ct.nrrd")
    if overwrite:
        files.write(make_volume(size=(3, 3, 3)), tmp_path / "ct.nrrd", overwrite=True)
    else:
        part = tmp_path / "part"
        part.write_bytes(b"new")
        with pytest.raises(FileExistsError):
            whole_file.put_in_place([part], [tmp_path / "ct.nrrd"], overwrite=False)
        part.unlink()
    assert files.read(tmp_path / "ct.nrrd").voxels.shape == ((3, 3, 3) if overwrite else (5, 6, 7))
    assert [actual.name for actual in tmp_path.iterdir()] == ["ct.nrrd"]


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("there", [0, 1, 2, 3])
def test_several_outputs_all_appear_or_the_old_ones_are_restored(tmp_path, make_volume, monkeypatch, failing, there):
    results = three(make_volume, tmp_path)
    for _, path, _ in results[:there]:
        path.write_text(f"old {path.name}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace, failed = Path.replace, results[failing][1]

    def refuse(self, target):
        if target == failed and self.read_bytes()[:3] != b"old":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SynthesisError, match="nothing was changed"):
        files.write_together(results, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    files.write_together(results, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.nrrd", "4.nrrd", "5.nrrd"]


@posix
def test_a_replaced_file_keeps_its_permissions(tmp_path, make_volume):
    files.write(make_volume(), tmp_path / "ct.nrrd")
    whole_file.write_whole(b"{}", tmp_path / "card.json", private=True)
    assert (tmp_path / "card.json").stat().st_mode & 0o777 == 0o600
    for name, mode in (("ct.nrrd", 0o640), ("card.json", 0o604)):
        (tmp_path / name).chmod(mode)
    files.write(make_volume(), tmp_path / "ct.nrrd", overwrite=True)
    whole_file.write_whole(b"{}", tmp_path / "card.json")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("ct.nrrd", "card.json")] == [0o640, 0o604]


@posix
def test_leftovers_of_a_killed_run_are_not_scans_and_are_removed_by_the_next_run(tmp_path, make_volume):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = whole_file.part_beside(tmp_path / "other.nrrd", ".nrrd")
    left = Path(str(mine).replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
    elsewhere = Path(str(mine).replace(mine.name.split("-")[1], "0" * 8))
    old = Path(str(elsewhere).replace(".part", "x.part").replace("x.part", ".part"))
    for path in (mine, left, elsewhere):
        files.write(make_volume(), tmp_path / "x.nrrd", overwrite=True)
        (tmp_path / "x.nrrd").rename(path)
    assert scans_below(tmp_path) == []
    files.write(make_volume(), tmp_path / "ct.nrrd")
    assert mine.exists() and elsewhere.exists()  # of a running process, and of another machine
    assert not left.exists()
    os.utime(old, (0, 0))
    whole_file.remove_forgotten(tmp_path)
    assert not elsewhere.exists()
    assert platform.node() not in mine.name or not platform.node()


@posix
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_run_leaves_no_files(tmp_path, make_scan, child, number):
    files.write(make_scan(size=(256, 256, 40)), tmp_path / "thick.nrrd")
    arguments = ["increase", "thick.nrrd", "thin.nrrd", "--factor", "8", "--method", "bspline"]
    process = subprocess.Popen(
        [sys.executable, "-m", "CTSliceSynthesisEngine", *arguments],
        cwd=tmp_path, stderr=subprocess.PIPE, **child,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # background jobs and nohup ignore some
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob(".ctslices*")):
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=100)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["thick.nrrd"], said
    assert process.returncode == 130
    assert "Traceback" not in said


def test_non_finite_results_are_never_written(tmp_path, tiny_model, randomize, make_scan):
    """Weights can be damaged in memory, where no checksum detects it."""
    import torch
    from CTSliceSynthesisEngine.networks.checkpoint import Model
    from CTSliceSynthesisEngine.networks.recipes import PRESETS
    from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
    from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
    from CTSliceSynthesisEngine.synthesis.plan import make_plan

    model = randomize(Model.untrained(PRESETS["tiny"]))
    scan = make_scan()
    plan = make_plan(scan.grid, scan.voxels.dtype, SynthesisOptions(factor=2))
    assert np.isfinite(synthesize(scan, plan, model).volume.voxels).all()
    with torch.no_grad():
        next(model.networks["through_plane"].parameters())[0] = torch.nan
    with pytest.raises(SynthesisError, match="are not finite numbers") as caught:
        synthesize(scan, plan, model)
    assert caught.value.reason == "bad-model"


@pytest.mark.parametrize("command", [("evaluate", "thin.nrrd", "--factor", "2"), ("run", "check.json")])
def test_own_results_are_refused_as_ground_truth(tmp_path, make_scan, ctslices, command):
    files.write(make_scan(), tmp_path / "thin.nrrd", header={"CTSliceSynthesis.method": "three-view"})
    (tmp_path / "check.json").write_text('{"version": 1, "job": "check", "input": "thin.nrrd"}')
    done = ctslices(*command, cwd=tmp_path)
    assert done.returncode == 3
    assert "estimates are no truth to measure by" in done.stderr + done.stdout


def test_an_expected_error_volume_is_refused_as_scan(tmp_path, make_scan, ctslices):
    files.write(make_scan(), tmp_path / "error.nrrd", header={"CTSliceSynthesis.content": "expected error in HU"})
    done = ctslices("increase", "error.nrrd", "thin.nrrd", "--method", "cubic", cwd=tmp_path)
    assert (done.returncode, "holds the expected error in HU" in done.stderr) == (3, True)


def test_without_hard_links_a_kill_does_not_lose_the_old_file(tmp_path, monkeypatch):
    """No cleanup runs after a kill; the files present then must suffice, and the next run removes leftovers."""
    target, part = tmp_path / "ct.nrrd", tmp_path / "part"
    target.write_bytes(b"old")
    part.write_bytes(b"new")
    seen = []

    def link(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append(target.read_bytes()), replace(self, to)))
    whole_file.put_in_place([part], [target], overwrite=True)
    assert seen == [b"old"]
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nrrd"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lists processes as files")
def test_a_zombie_process_does_not_count_as_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert not whole_file._is_alive(process.pid)
    process.wait()
    assert whole_file._is_alive(os.getpid())
