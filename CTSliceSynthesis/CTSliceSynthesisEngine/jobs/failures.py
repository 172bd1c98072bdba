"""Maps exceptions to a reason code and a message. Torch-free."""

from __future__ import annotations

import errno

from ..errors import SynthesisError, printable


def failure(error: Exception) -> tuple[str, str]:
    """Return the reason code (`errors.REASONS` maps it to an exit status) and the message for an exception."""
    if isinstance(error, SynthesisError):
        return error.reason, error.sentence
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "no-memory", "The memory ran out: choose a smaller factor, or crop the scan."
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "bad-model", "This needs PyTorch, which is not installed: install it (pip install torch)."
    if isinstance(error, OSError):
        name = f"{error.filename} cannot be used" if error.filename else "A file or stream cannot be used"
        text = f"{name} ({error.strerror or error}): check its name, its permissions and the free space."
        return "cannot-write", printable(text)
    return "internal", printable(f"A defect of this program: {type(error).__name__}: {error}")
