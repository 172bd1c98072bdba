"""Which of the processes of a torchrun this one is. Torch-free; every room may use it."""

from __future__ import annotations

import os

from .errors import SynthesisError


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many there are, from torchrun's environment; 0 and 1 alone.

    Raises:
        SynthesisError: "bad-option" where RANK and WORLD_SIZE are no such numbers.
    """
    texts = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not all(text.isascii() and text.isdigit() for text in texts) or int(texts[0]) >= int(texts[1]):
        message = (
            f"RANK and WORLD_SIZE must be whole numbers, the first below the second, not {texts[0]!r} and {texts[1]!r}"
        )
        raise SynthesisError("bad-option", f"{message}: unset both, or start the command with torchrun.")
    return int(texts[0]), int(texts[1])
