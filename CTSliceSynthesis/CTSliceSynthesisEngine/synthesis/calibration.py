"""How fast this machine is, remembered from its own runs. Torch-free, so that `info` can ask.

One small JSON file in the user's cache folder holds multiplications per second for each kind of device. It says nothing of
any scan. Where it is missing, a matrix multiplication is timed and remembered; every real run then corrects it.
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
from ..whole_file import write_whole

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
        remember(device, known[device])
    return known[device]


def remember(device: str, speed: float) -> None:
    """Keep the speed of a run for the next estimate; a cache that cannot be written is no failure."""
    try:
        speed_file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(json.dumps({**_known(), device: speed}).encode(), speed_file())
    except (OSError, SynthesisError):
        return


def _known() -> dict[str, float]:
    try:
        stored = json.loads(speed_file().read_text(encoding="utf-8"))
        return {str(device): float(speed) for device, speed in stored.items() if float(speed) > 0}
    except (OSError, ValueError, AttributeError, TypeError):
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
