"""User-correctable errors: a stable reason code for programs, one sentence for people, and a named remedy."""

from __future__ import annotations

REASONS = {
    "bad-input": 3,  # the file is missing, unreadable, or is not a stack of CT slices
    "bad-geometry": 4,  # irregular positions, a gantry tilt that the format cannot store, already isotropic
    "bad-option": 5,  # an invalid factor, spacing, axis, series or method
    "cannot-write": 6,  # the output exists, is the input, or cannot be written
    "bad-model": 7,  # weights missing, damaged, of another recipe, or failing the checksum
    "no-memory": 8,  # the result would not fit in memory
    "bad-request": 9,  # the request file has an unknown version or structure
    "device": 10,  # the requested device is missing or fails
    "not-better": 11,  # the trained model was written, but does not beat the classical methods on every held-out scan
    "diverged": 12,  # the training loss diverged repeatedly
    "not-ct": 13,  # skipped in batches: values are not HU, or the scan is itself a result of this program
    "interrupted": 130,  # the user stopped it
    "internal": 70,  # a bug in this program
}
"""Reason code -> exit status of the command line. Never renumber: scripts and the panel rely on them."""


REMEDIES = {
    "accept-failed-model": "choose another model, or accept it anyway (--accept-failed-model)",
    "accept-isotropic": "use --accept-isotropic to run anyway",
    "cpu": "choose --device cpu or auto",
    "free-space": "free some space, or choose another folder with --cache",
    "install-pytorch": "install it (pip install torch), or use --method cubic",
    "name-patient": "give --patient-id and --patient-name",
    "patient-id": "give it with --patient-id",
    "resume": "continue with --resume, which creates it again",
    "thickness": "set it with --thickness for a better result",
}
"""Remedies that the command line and the panel word differently: name -> wording of the command line."""


class Sentence(str):
    """A message with a named remedy; as a string, it uses the wording of the command line.

    Args:
        fact: the rule and the value found. Without a remedy it is the whole sentence and includes the way out.
        remedy: one of REMEDIES, or "".
    """

    fact: str
    remedy: str

    def __new__(cls, fact: str, remedy: str = "") -> Sentence:
        fact = printable(fact)
        sentence = super().__new__(cls, f"{fact}: {REMEDIES[remedy]}." if remedy else fact)
        sentence.fact, sentence.remedy = fact, remedy
        return sentence


class SynthesisError(Exception):
    """Something the user can correct. `str(error)` is one sentence: the rule, the value found, and the way out.

    Args:
        reason: one of REASONS.
        fact, remedy: see `Sentence`; unprintable characters, e.g. in file names, are escaped.
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
    """Return the text with control characters and undecodable bytes escaped (\\x1b, \\udcff), safe for any console."""
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
