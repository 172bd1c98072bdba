"""Rank and world size under torchrun. Does not import PyTorch; usable from every subpackage."""

from __future__ import annotations

import os

from .errors import SynthesisError


def rank_and_size() -> tuple[int, int]:
    """Return this process's rank and the world size from torchrun's environment; (0, 1) for a single process.

    Raises:
        SynthesisError: "bad-option" if RANK and WORLD_SIZE are not valid.
    """
    texts = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not all(text.isascii() and text.isdigit() for text in texts) or int(texts[0]) >= int(texts[1]):
        message = (
            f"RANK and WORLD_SIZE must be whole numbers, the first below the second, not {texts[0]!r} and {texts[1]!r}"
        )
        raise SynthesisError("bad-option", f"{message}: unset both, or start the command with torchrun.")
    return int(texts[0]), int(texts[1])
