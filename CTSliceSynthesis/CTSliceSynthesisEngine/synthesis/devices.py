"""Where to compute, in which precision, and how much at once: tried out, not assumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

import torch

from ..errors import SynthesisError

_FASTER = 1.3  # half precision must be this much faster to be worth its rounding
_TOLERANCE = 0.02  # of a convolution's answer, relative to its largest value
_BYTES_PER_PIXEL = 2000  # of a gap on a graphics card: features of the largest layer, a few copies, in half precision
_MEMORY_SHARE = 0.5  # of what is free on a graphics card


def choose_device(name: str, say: Callable[[str], None] = lambda sentence: None) -> torch.device:
    """The device for "auto", "cpu", "mps", "cuda" or "cuda:n".

    A device is used only after a small kernel ran on it: new cards are listed before PyTorch can drive them.

    Args:
        name: what the user asked for; "auto" takes CUDA or Apple's mps where they work, else the CPU.
        say: gets a sentence where a listed device does not work.

    Raises:
        SynthesisError: "bad-option" for another name, "device" where the device asked for does not work.
    """
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "mps", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise SynthesisError("bad-option", f"The device is auto, cpu, mps, cuda or cuda:n, not {name!r}.")
    wanted = _accelerator() if name == "auto" else name
    if wanted is None or wanted == "cpu":
        return torch.device("cpu")
    trouble = _trouble(wanted)
    if not trouble:
        return torch.device(wanted)
    if name == "auto":
        say(f"The device {wanted} cannot be used ({trouble}); the CPU is.")
        return torch.device("cpu")
    raise SynthesisError("device", f"The device {name} cannot be used ({trouble}): choose --device cpu or auto.")


def _accelerator() -> str | None:
    """The accelerator that PyTorch lists, None where it lists none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _trouble(name: str) -> str | None:
    """Why a small convolution fails on the device; None when it works."""
    try:
        image = torch.ones(1, 1, 8, 8, device=torch.device(name))
        answer = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=image.device))
        return None if float(answer.sum()) == 9 * 36 else "a small convolution gave a wrong answer"
    except (RuntimeError, AssertionError) as error:
        return (str(error).splitlines() or ["no reason given"])[0][:160]


@cache
def choose_precision(device: torch.device) -> torch.dtype:
    """The type to convolve in: half precision where it is right and clearly faster on this very machine, else float32.

    Tried out once in a process: a second answer could be another one, and on processors that are slow in half precision
    the trial takes as long as a small scan.
    """
    if device.type == "cuda":
        return torch.float16
    if device.type != "cpu":
        return torch.float32
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 32, 64, 128, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(32, 32, 3, 3, generator=generator)
    exact, slow = _timed(image, weight)
    rounded, fast = _timed(image.bfloat16(), weight.bfloat16(), hopeless=4 * slow)
    close = float((rounded.float() - exact).abs().max()) <= _TOLERANCE * float(exact.abs().max())
    return torch.bfloat16 if close and slow > _FASTER * fast else torch.float32


@torch.inference_mode()
def _timed(image: torch.Tensor, weight: torch.Tensor, hopeless: float = math.inf) -> tuple[torch.Tensor, float]:
    """The convolution's answer and its least time in seconds: other programs can only make it look slower.

    The first call, which prepares, does not count; none is made after one that took `hopeless` seconds.
    """
    times: list[float] = []
    while len(times) < 2 or (len(times) < 7 and times[-1] < hopeless):
        start = time.perf_counter()
        answer = torch.nn.functional.conv2d(image, weight, padding=1)
        times.append(time.perf_counter() - start)
    return answer, min(times[1:])


def gaps_at_once(device: torch.device, pixels: int, largest: int | None) -> int:
    """How many gaps to compute in one go.

    A processor's cache holds the features of one; a graphics card wants as many as its free memory takes.

    Args:
        device: where to compute.
        pixels: of one gap.
        largest: never more than this; None leaves it to the memory.
    """
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    fitting = max(1, int(_MEMORY_SHARE * free) // (pixels * _BYTES_PER_PIXEL))
    return fitting if largest is None else min(fitting, largest)
