"""How fast this machine is, remembered from its own runs. Torch-free, so that `info` can ask.

One small JSON file in the user's cache folder holds multiplications per second for each kind of device. It says nothing of
any scan. Where it is missing, a matrix multiplication is timed and remembered; every real run then corrects it, the more the
longer it took: a run of a few seconds is mostly start-up, and says nothing.
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
"""Of the networks, before the first multiplication, whatever the size of the scan; measured with Testing/benchmarks."""
_LEAST_SECONDS = 3.0  # of multiplying: shorter runs say nothing
_HALF_WAY_SECONDS = 30.0  # a run of so many counts half, what was known before the other half
_PLAUSIBLE = (1e6, 1e17)  # multiplications per second

_SIDE = 512
_NETWORK_SHARE = (
    1.0  # networks' multiplications per second over those of a float32 product; measured with the benchmarks
)


def speed_file() -> Path:
    """Where the figures are kept."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "CTSliceSynthesis" / "speed.json"


def multiplications_per_second(device: str = "cpu") -> float:
    """What the networks reach on a device ("cpu", "cuda", "mps"), from earlier runs or from a product timed now."""
    known = _known()
    if device not in known:
        known[device] = _NETWORK_SHARE * _product_speed()
        _keep(device, known[device])
    return known[device]


def remember(device: str, work: float, seconds: float) -> None:
    """Learn from a run for the next estimate.

    Args:
        device: "cpu", "cuda" or "mps".
        work: multiplications.
        seconds: that they took, the start included.
    """
    own = seconds - START_SECONDS
    if own < _LEAST_SECONDS or work <= 0:
        return
    before = multiplications_per_second(device)
    share = own / (own + _HALF_WAY_SECONDS)
    _keep(device, before ** (1 - share) * (work / own) ** share)


def _keep(device: str, speed: float) -> None:
    """Write the speed down; a cache that cannot be written is no failure."""
    try:
        speed_file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(json.dumps({**_known(), device: speed}).encode(), speed_file())
    except (OSError, SynthesisError):
        return


def _known() -> dict[str, float]:
    try:
        stored = json.loads(read_regular(speed_file(), 1 << 16))
        low, high = _PLAUSIBLE
        return {str(device): float(speed) for device, speed in stored.items() if low < float(speed) < high}
    except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return {}


def _product_speed() -> float:
    """Multiplications per second of a float32 matrix product, all cores."""
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return _SIDE**3 / statistics.median(times[1:])
