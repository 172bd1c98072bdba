"""Where to compute, and in which precision: tried out, not assumed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..errors import SynthesisError

_FASTER = 1.3  # half precision must be this much faster to be worth its rounding
_TOLERANCE = 0.02  # of a convolution's answer, relative to its largest value


def choose_device(name: str, say: Callable[[str], None] = lambda sentence: None) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "cuda:n".

    A device is used only after a small kernel ran on it: new cards are listed before PyTorch can drive them.

    Args:
        name: what the user asked for; "auto" takes CUDA where it works, else the CPU.
        say: gets a sentence where a listed device does not work.

    Raises:
        SynthesisError: "bad-option" for another name, "device" where the device asked for does not work.
    """
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise SynthesisError("bad-option", f"The device is auto, cpu, cuda or cuda:n, not {name!r}.")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda" if name == "auto" else name)
    trouble = _trouble(device)
    if not trouble:
        return device
    if name == "auto":
        say(f"The graphics card cannot be used ({trouble}); the CPU is.")
        return torch.device("cpu")
    raise SynthesisError("device", f"The device {name} cannot be used ({trouble}): choose --device cpu or auto.")


def _trouble(device: torch.device) -> str | None:
    """Why a small convolution fails on the device; None when it works."""
    try:
        image = torch.ones(1, 1, 8, 8, device=device)
        answer = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device))
        return None if float(answer.sum()) == 9 * 36 else "a small convolution gave a wrong answer"
    except (RuntimeError, AssertionError) as error:
        return (str(error).splitlines() or ["no reason given"])[0][:160]


def choose_precision(device: torch.device) -> torch.dtype:
    """The type to convolve in: half precision where it is right and clearly faster on this very machine, else float32."""
    if device.type == "cuda":
        return torch.float16
    if device.type != "cpu":
        return torch.float32
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 32, 64, 128, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(32, 32, 3, 3, generator=generator)
    (exact, slow), (rounded, fast) = (_timed(image.to(t), weight.to(t)) for t in (torch.float32, torch.bfloat16))
    close = float((rounded.float() - exact).abs().max()) <= _TOLERANCE * float(exact.abs().max())
    return torch.bfloat16 if close and slow > _FASTER * fast else torch.float32


@torch.inference_mode()
def _timed(image: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The convolution's answer and its least time in seconds: other programs can only make it look slower."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        answer = torch.nn.functional.conv2d(image, weight, padding=1)
        times.append(time.perf_counter() - start)
    return answer, min(times[1:])
