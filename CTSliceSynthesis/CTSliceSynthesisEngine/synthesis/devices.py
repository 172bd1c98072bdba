"""Where to compute, in which precision, and how much at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import SynthesisError
from .options import AUTO, BFLOAT16

_BFLOAT16_FEATURES = ("amx_tile", "avx512_bf16")  # of x86 processors, as PyTorch calls them
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
    raise SynthesisError("device", f"The device {name} cannot be used ({trouble})", "cpu")


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


def choose_precision(device: torch.device, wanted: str = AUTO) -> torch.dtype:
    """The type to convolve in: what is asked for, or what the kind of device is known to be fast in.

    A table, and no stopwatch: the same command gives the same answer however busy the machine is.

    Args:
        device: where to compute.
        wanted: one of `plan.PRECISIONS`; AUTO takes half precision on graphics cards, and on processors that multiply in it.
    """
    if wanted != AUTO:
        return torch.bfloat16 if wanted == BFLOAT16 else torch.float32
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and multiplies_in_bfloat16() else torch.float32


def multiplies_in_bfloat16() -> bool:
    """True for processors with instructions for it; the others take many times as long as in float32."""
    return any(getattr(torch.cpu, f"_is_{feature}_supported", bool)() for feature in _BFLOAT16_FEATURES)


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
