"""What a panel does before anything that needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable

from .. import Messages
from ..Setup import Requirements


def areMet(say: Callable[[str], None]) -> bool:
    """True if PyTorch is there, or came after one question; else the reason is said, in a box too if it is news."""
    reason = Requirements.ensure(Messages.confirm)
    if reason:
        say(reason)
        if reason != Requirements.declined():
            Messages.showReason(reason)
    return not reason
