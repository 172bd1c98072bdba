"""Every pop-up and other window, and the words of sentences that were written for the command line."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

PANEL_WORDS = {
    "; --accept-isotropic goes on all the same": "",
    ": --thickness tells it, and makes the result better": _("; the result is better when it is told, under Input"),
    "or take --method cubic": _("or take the method “Cubic”"),
    "choose --device cpu or auto": _("choose the device “CPU” or “Automatic”"),
    "install it (pip install torch)": _("install it through the PyTorch extension"),
    " Choose another model, or accept it all the same (--accept-failed-model).": _(" Choose another model."),
    "Measure it with `ctslices evaluate` before you use it.": _("Check it on a scan before you use it."),
    "give the name of a bundled model (`ctslices models` lists them) or the path of a weights file": _(
        "choose another"
    ),
    "go on with --resume, which makes it again": _("go on with “Resume”, which makes it again"),
    ": free some space, or choose another folder with --cache": _(": free some space"),
    ": wait for it, or choose another --out": _(": wait for it"),
    "free the name, or choose another --out": _("choose another name"),
}
"""What the engine says to users of its command line -> what the panel says."""


def inPanelWords(sentence: str) -> str:
    """A sentence of the engine, with the panel's names for things."""
    for words, own in PANEL_WORDS.items():
        sentence = sentence.replace(words, own)
    return sentence


def confirm(question: str) -> bool:
    """Ask before something large is done; without a window the answer is no."""
    if slicer.util.mainWindow() is None:
        return False
    return slicer.util.confirmOkCancelDisplay(question, windowTitle=_("CT Slice Synthesis"))


def showFailure(sentence: str, log: str) -> None:
    """A failed run: its cause, and the last lines of the log."""
    options = {"detailedText": log} if log else {}
    slicer.util.errorDisplay(inPanelWords(sentence), windowTitle=_("CT Slice Synthesis"), **options)


def showReason(sentence: str) -> None:
    """Why nothing was started."""
    slicer.util.warningDisplay(inPanelWords(sentence), windowTitle=_("CT Slice Synthesis"))


def sayElsewhere(sentence: str) -> None:
    """Tell a user who is at work in another module: in the status bar, for as long as it takes to notice."""
    slicer.util.showStatusMessage(": ".join((_("CT Slice Synthesis"), inPanelWords(sentence))), 20000)


def chooseFile(title: str, kinds: str) -> str:
    """Ask for a file; "" where the user wants none."""
    return qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kinds)


def chooseFolder(title: str) -> str:
    """Ask for a folder; "" where the user wants none."""
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)


def openOutside(path: Path) -> None:
    """Show a folder in the file manager, or a page in the browser."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
