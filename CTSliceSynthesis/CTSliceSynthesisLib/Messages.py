"""Every pop-up and other window, and the panel's words for what the engine says."""

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
    "install-pytorch": _("install it through the PyTorch extension, or take the method “Cubic”"),
    "name-patient": _("fill in the patient's identifier and name"),
    "patient-id": _("fill it in"),
    "resume": _("go on with “Resume”, which makes it again"),
    "thickness": _("the result is better when it is given, under Input"),
}
"""The engine's ways out by name, see its errors.py -> what they are called in the panel; "" where it has none."""


def worded(fact: str, remedy: str) -> str:
    """A sentence of the engine with the panel's way out."""
    way = REMEDIES.get(remedy, "")
    return f"{fact}: {way}." if way else fact if fact.endswith(".") else f"{fact}."


def ofError(error) -> str:
    """What a SynthesisError says, for users of the panel."""
    return worded(error.sentence.fact, error.sentence.remedy)


def ofRemark(remark: str) -> str:
    """What a remark of a plan says, for users of the panel."""
    return worded(getattr(remark, "fact", remark), getattr(remark, "remedy", ""))


def ofEvent(event: dict, field: str) -> str:
    """The sentence in a field of an event, for users of the panel."""
    return worded(str(event.get("fact", event.get(field))), str(event.get("remedy", "")))


def confirm(question: str) -> bool:
    """Ask before something large is done; without a window the answer is no."""
    if slicer.util.mainWindow() is None:
        return False
    return slicer.util.confirmOkCancelDisplay(question, windowTitle=_("CT Slice Synthesis"))


def showFailure(sentence: str, log: str) -> None:
    """A failed run: its cause, and the last lines of the log."""
    options = {"detailedText": log} if log else {}
    slicer.util.errorDisplay(sentence, windowTitle=_("CT Slice Synthesis"), **options)


def showReason(sentence: str) -> None:
    """Why nothing was started."""
    slicer.util.warningDisplay(sentence, windowTitle=_("CT Slice Synthesis"))


def sayElsewhere(sentence: str) -> None:
    """Tell a user who is at work in another module: in the status bar, for as long as it takes to notice."""
    slicer.util.showStatusMessage(": ".join((_("CT Slice Synthesis"), sentence)), 20000)


def chooseFile(title: str, kinds: str) -> str:
    """Ask for a file; "" where the user wants none."""
    return qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kinds)


def chooseFolder(title: str) -> str:
    """Ask for a folder; "" where the user wants none."""
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)


def openOutside(path: Path) -> None:
    """Show a folder in the file manager, or a page in the browser."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
