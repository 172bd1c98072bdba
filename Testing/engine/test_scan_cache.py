"""The cache of converted scans: created once, private, with clear errors."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cohorts import noise, write
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.training.scans import scan_cache
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.volume.folders import FoundScan


@pytest.fixture
def cache(tmp_path):
    return ScanCache(tmp_path / "cache")


def converted(monkeypatch):
    """Count how often a scan is read from its file."""
    times = []
    open_scan = scan_cache.open_scan
    monkeypatch.setattr(
        scan_cache, "open_scan", lambda *given, **named: times.append(given) or open_scan(*given, **named)
    )
    return times


def test_a_scan_is_converted_once_until_its_file_changes(folder, cache, monkeypatch):
    times = converted(monkeypatch)
    scan = FoundScan(folder / "one.nrrd")
    facts = cache.get(scan).facts
    assert cache.get(scan).facts == facts
    assert len(times) == 1
    before = sorted(path.name for path in (folder.parent / "cache").iterdir())
    assert len(before) == 3
    (folder / "one.nrrd").unlink()
    write(folder / "one.nrrd", noise(77))
    os.utime(folder / "one.nrrd", ns=(1, time.time_ns() + 10**9))
    assert np.array_equal(cache.get(scan).whole(), noise(77))
    assert len(times) == 2


@pytest.mark.parametrize("damage", ["cut", "noise", "gone", "no json", "other json", "half gone"])
def test_an_unreadable_cache_is_recreated(folder, cache, damage):
    scan, place = FoundScan(folder / "one.nrrd"), folder.parent / "cache"
    cache.get(scan)
    whole = next(path for path in place.glob("*.npy") if ".half" not in path.name)
    facts = whole.with_suffix(".json")
    content = whole.read_bytes()
    if damage == "cut":
        whole.write_bytes(content[:-1000])
    elif damage == "noise":
        whole.write_bytes(content[:128] + bytes(len(content) - 128))
    elif damage == "gone":
        whole.unlink()
    elif damage == "no json":
        facts.write_text("{")
    elif damage == "other json":
        facts.write_text(json.dumps({"shape": [1, 2, 3]}))
    else:
        whole.with_suffix(".half.npy").unlink()
    scan_cache._mapped.cache_clear()  # as in a new process
    assert np.array_equal(ScanCache(place).get(scan).whole(), noise(0))


def test_a_cache_deleted_during_training_gives_a_message(folder, cache):
    actual = cache.get(FoundScan(folder / "one.nrrd"))
    for path in (folder.parent / "cache").iterdir():
        path.unlink()
    scan_cache._mapped.cache_clear()
    with pytest.raises(SynthesisError, match=r"disappeared or was damaged.*--resume"):
        actual.whole()


def test_an_unwritable_cache_folder_is_refused_with_a_remedy(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(SynthesisError, match="choose another folder with --cache") as caught:
        ScanCache(tmp_path / "file" / "cache")
    assert caught.value.reason == "cannot-write"
    cache = ScanCache(tmp_path / "cache")

    def full(file, array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scan_cache.np, "save", full)
    with pytest.raises(SynthesisError, match=r"No space left.*--cache"):
        cache.get(FoundScan(folder / "one.nrrd"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_concurrent_runs_can_convert_the_same_scans(folder, tmp_path, child):
    code = """
import sys
from pathlib import Path
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.volume.folders import scans_below
cache = ScanCache(Path(sys.argv[2]))
for _ in range(5):
    print([int(cache.get(scan).whole().astype(int).sum()) for scan in scans_below(Path(sys.argv[1]))])
    for path in Path(sys.argv[2]).glob("*.json"):
        path.unlink(missing_ok=True)  # so that both keep converting
"""
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **child) for _ in range(2)]
    expected = str([int(noise(n).astype(int).sum()) for n in (0, 2, 1)])
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert out.splitlines() == [expected] * 5, err


ANONYMOUS = """
import sys
from pathlib import Path
import numpy as np
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.training.scans.cohort import survey
from CTSliceSynthesisEngine.training.scans.crops import CropSettings
from CTSliceSynthesisEngine.training.distillation import StepSettings, draw
scans = survey(Path(sys.argv[1]), ScanCache(Path(sys.argv[2])), {}, ("none",)).learned_from
for step in range(10):
    draw(np.random.default_rng(step), scans, CropSettings(half_share=0.5), StepSettings())
status = open("/proc/self/status").read().splitlines()
print(len(scans), next(int(line.split()[1]) for line in status if line.startswith("RssAnon")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart")
def test_anonymous_memory_does_not_grow_with_the_number_of_scans(tmp_path, child):
    actual = {}
    for count in (20, 65):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            hu = noise(number, slices=8, side=200)
            header = "NRRD0004\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 200 200 8\n"
            header += "space directions: (0.8,0,0) (0,0.8,0) (0,0,2.5)\nendian: little\nencoding: raw\n"
            (folder / f"{number:03d}.nrrd").write_bytes(f"{header}space origin: (0,0,0)\n\n".encode() + hu.tobytes())
        command = [sys.executable, "-c", ANONYMOUS, str(folder), str(tmp_path / f"cache{count}")]
        done = subprocess.run(command, capture_output=True, timeout=300, **child)
        scans, kilobytes = map(int, done.stdout.split())
        assert scans == count, done.stderr
        actual[count] = kilobytes / 1024
    assert actual[65] - actual[20] < 8  # MB; 45 more scans are 28 MB of voxels and 7 MB of half-size copies


@pytest.mark.skipif(os.name != "posix", reason="permissions are a POSIX thing")
def test_converted_scans_are_private_and_patients_are_hashed_with_a_salt(tmp_path, write_dicom_stack):
    voxels = noise(5)
    write_dicom_stack(
        tmp_path / "ct", [(0, 0, 2.0 * z) for z in range(10)], pixels=lambda z: voxels[z], PatientID="DOE"
    )
    actual = []
    for name in ("one", "two"):
        os.umask(0)
        actual.append(ScanCache(tmp_path / name).get(FoundScan(tmp_path / "ct")).facts.patient)
        os.umask(0o022)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / name).iterdir()} == {0o600}
    assert actual[0] != actual[1]
    assert ScanCache(tmp_path / "one").get(FoundScan(tmp_path / "ct")).facts.patient == actual[0]
