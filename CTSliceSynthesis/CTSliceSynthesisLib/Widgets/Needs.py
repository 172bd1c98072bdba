"""Check for PyTorch before an action that needs it."""

from __future__ import annotations

from collections.abc import Callable

from .. import Messages
from ..Setup import Requirements


def areMet(say: Callable[[str], None]) -> bool:
    """Return True if PyTorch is available or was just installed; otherwise report why not, also in a pop-up unless declined."""
    reason = Requirements.ensure(Messages.confirm)
    if reason:
        say(reason)
        if reason != Requirements.declined():
            Messages.showReason(reason)
    return not reason
