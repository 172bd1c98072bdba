"""What can go wrong, said once: a stable reason code for programs, one sentence for people, and a way out by name."""

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


REMEDIES = {
    "accept-failed-model": "choose another model, or accept it anyway (--accept-failed-model)",
    "accept-isotropic": "--accept-isotropic goes on anyway",
    "cpu": "choose --device cpu or auto",
    "free-space": "free some space, or choose another folder with --cache",
    "install-pytorch": "install it (pip install torch), or take --method cubic",
    "name-patient": "give --patient-id and --patient-name",
    "patient-id": "give it with --patient-id",
    "resume": "go on with --resume, which makes it again",
    "thickness": "--thickness gives it, and makes the result better",
}
"""Ways out that the command line and the panel word differently: name -> words of the command line."""


class Sentence(str):
    """What is wrong, and the way out by name; as text, in the words of the command line.

    Args:
        fact: the rule and the value found. Without a remedy it is the whole sentence and has the way out in it.
        remedy: one of REMEDIES, or "".
    """

    fact: str
    remedy: str

    def __new__(cls, fact: str, remedy: str = "") -> Sentence:
        fact = printable(fact)
        made = super().__new__(cls, f"{fact}: {REMEDIES[remedy]}." if remedy else fact)
        made.fact, made.remedy = fact, remedy
        return made


class SynthesisError(Exception):
    """Something the user can correct. `str(error)` is one sentence: the rule, the value found, and the way out.

    Args:
        reason: one of REASONS.
        fact, remedy: see `Sentence`; letters that cannot be shown, as in names of files, are spelled out.
    """

    def __init__(self, reason: str, fact: str, remedy: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        self.sentence = Sentence(fact, remedy)
        super().__init__(self.sentence)
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
