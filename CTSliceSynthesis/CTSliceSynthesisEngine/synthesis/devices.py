"""Choice of device, precision and batch size."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import SynthesisError
from .options import AUTO, BFLOAT16

_BFLOAT16_FEATURES = ("amx_tile", "avx512_bf16")  # x86 CPU features, named as in PyTorch
_BYTES_PER_PIXEL = 2000  # per pixel of a gap on a GPU: features of the largest layer, a few copies, in half precision
_MEMORY_SHARE = 0.5  # of the free GPU memory


def choose_device(name: str, say: Callable[[str], None] = lambda sentence: None) -> torch.device:
    """Return the device for "auto", "cpu", "mps", "cuda" or "cuda:n".

    A device is used only after a small kernel ran on it: new GPUs may be listed before PyTorch supports them.

    Args:
        name: the user's choice; "auto" selects CUDA or Apple's MPS if they work, otherwise the CPU.
        say: called with a message if a listed device does not work.

    Raises:
        SynthesisError: "bad-option" for an unknown name, "device" if the requested device does not work.
    """
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "mps", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise SynthesisError("bad-option", f"The device is auto, cpu, mps, cuda or cuda:n, not {name!r}.")
    chosen = _accelerator() if name == "auto" else name
    if chosen is None or chosen == "cpu":
        return torch.device("cpu")
    failure = _failure(chosen)
    if not failure:
        return torch.device(chosen)
    if name == "auto":
        say(f"The device {chosen} cannot be used ({failure}); using the CPU instead.")
        return torch.device("cpu")
    raise SynthesisError("device", f"The device {name} cannot be used ({failure})", "cpu")


def _accelerator() -> str | None:
    """Return the accelerator that PyTorch reports, or None."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _failure(name: str) -> str | None:
    """Return why a small convolution fails on the device, or None if it works."""
    try:
        image = torch.ones(1, 1, 8, 8, device=torch.device(name))
        result = torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=image.device))
        return None if float(result.sum()) == 9 * 36 else "a small convolution gave a wrong result"
    except (RuntimeError, AssertionError) as error:
        return (str(error).splitlines() or ["no reason given"])[0][:160]


def choose_precision(device: torch.device, precision: str = AUTO) -> torch.dtype:
    """Return the data type for convolutions: the requested one, or the fastest for this kind of device.

    This is a fixed table rather than a measurement: the same command gives the same result regardless of machine load.

    Args:
        device: where to compute.
        precision: one of `options.PRECISIONS`; AUTO selects half precision on GPUs, and bfloat16 on CPUs that support it.
    """
    if precision != AUTO:
        return torch.bfloat16 if precision == BFLOAT16 else torch.float32
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and multiplies_in_bfloat16() else torch.float32


def multiplies_in_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 instructions; without them bfloat16 is many times slower than float32."""
    return any(getattr(torch.cpu, f"_is_{feature}_supported", bool)() for feature in _BFLOAT16_FEATURES)


def gaps_at_once(device: torch.device, pixels: int, largest: int | None) -> int:
    """Return how many gaps to compute in one batch.

    On a CPU, the cache holds the features of one gap; on a GPU, as many as fit into free memory are best.

    Args:
        device: where to compute.
        pixels: number of pixels in one gap.
        largest: upper limit; None for no limit other than memory.
    """
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    fitting = max(1, int(_MEMORY_SHARE * free) // (pixels * _BYTES_PER_PIXEL))
    return fitting if largest is None else min(fitting, largest)
