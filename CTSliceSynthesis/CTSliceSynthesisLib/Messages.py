"""Pop-ups and dialogs, and the panel's wording of the engine's messages."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

REMEDIES = {
    "accept-failed-model": _("choose another model"),
    "accept-isotropic": "",
    "cpu": _("choose the device “CPU” or “Automatic”"),
    "free-space": _("free some space"),
    "install-pytorch": _("install it through the PyTorch extension, or choose the method “Cubic”"),
    "name-patient": _("fill in the patient's identifier and name"),
    "patient-id": _("fill it in"),
    "resume": _("continue with “Resume”, which converts it again"),
    "thickness": _("the result is better when it is given, under Input"),
}
"""Remedy names of the engine (see its errors.py) -> their wording in the panel; "" if the panel offers none."""


def withRemedy(fact: str, remedy: str) -> str:
    """Return a sentence of the engine followed by the panel's remedy."""
    action = REMEDIES.get(remedy, "")
    return f"{fact}: {action}." if action else fact if fact.endswith(".") else f"{fact}."


def ofError(error) -> str:
    """Return the panel's wording of a SynthesisError."""
    return withRemedy(error.sentence.fact, error.sentence.remedy)


def ofRemark(remark: str) -> str:
    """Return the panel's wording of a plan's remark."""
    return withRemedy(getattr(remark, "fact", remark), getattr(remark, "remedy", ""))


def ofEvent(event: dict, field: str) -> str:
    """Return the panel's wording of the sentence in an event's field."""
    return withRemedy(str(event.get("fact", event.get(field))), str(event.get("remedy", "")))


def confirm(question: str) -> bool:
    """Ask the user to confirm; return False without a main window."""
    if slicer.util.mainWindow() is None:
        return False
    return slicer.util.confirmOkCancelDisplay(question, windowTitle=_("CT Slice Synthesis"))


def showFailure(sentence: str, log: str) -> None:
    """Show the cause of a failed run and the last lines of its log."""
    options = {"detailedText": log} if log else {}
    slicer.util.errorDisplay(sentence, windowTitle=_("CT Slice Synthesis"), **options)


def showReason(sentence: str) -> None:
    """Show the reason why nothing was started."""
    slicer.util.warningDisplay(sentence, windowTitle=_("CT Slice Synthesis"))


def showInStatusBar(sentence: str) -> None:
    """Show a sentence in the status bar for 20 s, for a user who is working in another module."""
    slicer.util.showStatusMessage(": ".join((_("CT Slice Synthesis"), sentence)), 20000)


def chooseFile(title: str, kinds: str) -> str:
    """Ask for a file; return "" if the user cancels."""
    return qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kinds)


def chooseFolder(title: str) -> str:
    """Ask for a folder; return "" if the user cancels."""
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)


def openOutside(path: Path) -> None:
    """Open a folder in the file manager, or a page in the browser."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
