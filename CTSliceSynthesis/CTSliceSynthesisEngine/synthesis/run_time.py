"""Speed of this machine, learned from its own runs. Does not import PyTorch, so that `info` can use it.

A small JSON file in the user's cache folder stores multiplications per second for each kind of device. It contains nothing
about any scan. If it is missing, a matrix multiplication is timed instead; each real run then updates the figure, with a
weight that grows with its duration, because a run of a few seconds is mostly start-up.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from ..errors import SynthesisError
from ..regular_file import read_regular
from ..whole_file import write_whole

START_SECONDS = 2.0
"""Start-up time of the networks, independent of the size of the scan; measured with Testing/benchmarks."""
_LEAST_SECONDS = 3.0  # of multiplying; shorter runs are ignored
_HALF_WAY_SECONDS = 30.0  # a run this long gets weight 1/2
_PLAUSIBLE = (1e6, 1e17)  # multiplications per second

_SIDE = 512
# Multiplications per second of the networks over those of a float32 matrix product; measured with the benchmarks.
_NETWORK_SHARE = 1.0


def speed_file() -> Path:
    """Return the path of the speed file."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "CTSliceSynthesis" / "speed.json"


def multiplications_per_second(device: str = "cpu") -> float:
    """Return the networks' speed on a device ("cpu", "cuda", "mps"), from earlier runs or a matrix product timed now."""
    speeds = _stored_speeds()
    if device not in speeds:
        speeds[device] = _NETWORK_SHARE * _product_speed()
        _store(device, speeds[device])
    return speeds[device]


def remember(device: str, work: float, seconds: float) -> None:
    """Update the speed from a finished run.

    Args:
        device: "cpu", "cuda" or "mps".
        work: multiplications.
        seconds: duration, including start-up.
    """
    multiplying = seconds - START_SECONDS
    if multiplying < _LEAST_SECONDS or work <= 0:
        return
    before = multiplications_per_second(device)
    weight = multiplying / (multiplying + _HALF_WAY_SECONDS)
    _store(device, before ** (1 - weight) * (work / multiplying) ** weight)


def _store(device: str, speed: float) -> None:
    """Store the speed; a cache that cannot be written is ignored."""
    try:
        speed_file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(json.dumps({**_stored_speeds(), device: speed}).encode(), speed_file())
    except (OSError, SynthesisError):
        return


def _stored_speeds() -> dict[str, float]:
    try:
        stored = json.loads(read_regular(speed_file(), 1 << 16))
        low, high = _PLAUSIBLE
        return {str(device): float(speed) for device, speed in stored.items() if low < float(speed) < high}
    except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return {}


def _product_speed() -> float:
    """Measure the multiplications per second of a float32 matrix product on all cores."""
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return _SIDE**3 / statistics.median(times[1:])
