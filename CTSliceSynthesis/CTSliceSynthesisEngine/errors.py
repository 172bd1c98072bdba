"""What can go wrong, said once: a stable reason code for programs and one sentence for people."""

from __future__ import annotations

REASONS = {
    "bad-input": 3,  # the file is missing, unreadable, or is not a stack of CT slices
    "bad-geometry": 4,  # irregular positions, a tilt that the format cannot hold, nothing to gain
    "bad-option": 5,  # a factor, spacing, axis, series or method outside the rule
    "cannot-write": 6,  # the output exists, is the input, or cannot be written
    "bad-model": 7,  # weights missing, damaged, of another recipe, or with a wrong checksum
    "no-memory": 8,  # the result would not fit
    "bad-request": 9,  # the request file is not of a known version or shape
    "device": 10,  # the device asked for is missing or fails
    "not-better": 11,  # a model was trained and written, and does not beat the classical methods on every held-out scan
    "diverged": 12,  # the loss of a training exploded again and again
    "not-ct": 13,  # a batch leaves it out: its values are no HU, or it is a result of ours
    "interrupted": 130,  # the user stopped it
    "internal": 70,  # a defect of this program
}
"""Reason code -> exit status of the command line. Never renumbered: scripts and the panel rely on them."""


class SynthesisError(Exception):
    """Something the user can mend. `str(error)` is one sentence: the rule, the value found, and the way out.

    Args:
        reason: one of REASONS.
        message: the sentence; letters that cannot be shown, as in names of files, are spelled out.
    """

    def __init__(self, reason: str, message: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        super().__init__(printable(message))
        self.reason = reason

    @property
    def exit_status(self) -> int:
        """Exit status of the command line for this reason."""
        return REASONS[self.reason]


def printable(text: str) -> str:
    """The text on one line that any console can show: control characters, and bytes that are no letters, as \\x1b, \\udcff."""
    return "".join(letter if letter.isprintable() else _spelled(letter) for letter in text)


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
