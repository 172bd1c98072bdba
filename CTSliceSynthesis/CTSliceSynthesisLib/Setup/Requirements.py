"""Dependency of a run besides Slicer: PyTorch, provided by the PyTorch extension. The only code that installs anything.

`missing` only checks, and never imports PyTorch; `ensure` may install it after asking once.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

from CTSliceSynthesisEngine.synthesis.options import THREE_VIEW
from slicer.i18n import tr as _

EXTENSION = "PyTorchUtils"
"""Module of the PyTorch extension."""
REQUIREMENTS_FILE = Path(__file__).parents[2] / "Resources" / "requirements.txt"


def torchVersion() -> str:
    """Return the minimum version of PyTorch, such as ">=2.10", from the requirements file."""
    lines = REQUIREMENTS_FILE.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch") for line in lines if line.startswith("torch"))


def missing(method: str) -> bool:
    """True if the method needs PyTorch and Slicer's Python has none, or one that is too old."""
    return method == THREE_VIEW and not (isThere("torch") and recentEnough())


def isThere(module: str) -> bool:
    """True if a module could be imported; does not import it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def recentEnough() -> bool:
    """False if the installed PyTorch is known to be older than required."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return True  # not installed by pip: the run itself will check
    numbers = [re.findall(r"\d+", text)[:2] for text in (version or "", torchVersion())]
    installed, needed = ([int(n) for n in part] for part in numbers)
    return installed >= needed


def howToGet() -> str:
    """Return instructions for installing PyTorch, for scripts and for Slicer without the PyTorch extension."""
    if isThere(EXTENSION):
        message = _(
            "The three-view method needs PyTorch, which is not installed yet. Start once in the panel of CT Slice Synthesis,"
            " which asks before it installs it, or type PyTorchUtils.PyTorchUtilsLogic().installTorch() after import"
            " PyTorchUtils in Slicer's Python console. {offline}"
        )
    else:
        message = _(
            "The three-view method needs PyTorch. Install the extension “PyTorch” in the Extensions Manager, restart Slicer,"
            " and start again. {offline}"
        )
    return message.format(offline=offline())


def offline() -> str:
    """Return instructions for installing PyTorch offline."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _(
        "Without a network: download the wheels of PyTorch for Python {version} on another computer, then type"
        " slicer.util.pip_install('--no-index --find-links /path/to/wheels torch') in Slicer's Python console; the page"
        " “PyTorch without a network” has every command. The method “Cubic” works without PyTorch."
    ).format(version=version)


def question() -> str:
    """Return the question asked before anything is downloaded."""
    return _(
        "The three-view method needs PyTorch{version}, which is not installed yet. It is a download of about 0.2 GB, or 3 GB"
        " where a graphics card of NVIDIA is found, and takes some minutes, in which Slicer does not answer. Install it now,"
        " through the PyTorch extension?"
    ).format(version=" " + torchVersion())


def ensure(confirm: Callable[[str], bool]) -> str:
    """Install PyTorch if it is missing, after asking once.

    Args:
        confirm: asks the user and returns True for yes.

    Returns:
        Empty if PyTorch is available, else the reason why it is not.
    """
    if not missing(THREE_VIEW):
        return ""
    if not isThere(EXTENSION):
        return howToGet()
    if not confirm(question()):
        return declined()
    try:
        importlib.import_module(EXTENSION).PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=torchVersion()
        )
    except Exception as error:  # pip, the network, a full disk: the remedy is the same for all
        failed = _(
            "PyTorch could not be installed ({error}). The network is the usual cause: check it, and start again. {offline}"
        )
        return failed.format(error=error, offline=offline())
    importlib.invalidate_caches()
    return _("PyTorch was installed, but Slicer does not find it yet: restart Slicer.") if missing(THREE_VIEW) else ""


def declined() -> str:
    """Return the message for a user who declined."""
    return _("PyTorch was not installed, so nothing was started. The method “Cubic” works without it.")
