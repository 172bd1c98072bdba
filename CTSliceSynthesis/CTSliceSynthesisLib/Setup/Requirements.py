"""What a run needs beside Slicer: PyTorch, which comes through the PyTorch extension. The one place that installs.

`missing` and `problems` only look, and never import PyTorch; `ensure` may install, after one question.
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
    """The least version of PyTorch, as in ">=2.10", from the requirements file."""
    lines = REQUIREMENTS_FILE.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch") for line in lines if line.startswith("torch"))


def missing(method: str) -> bool:
    """True if the method needs PyTorch and Slicer's Python lacks it, or has one that is too old."""
    return method == THREE_VIEW and not (isThere("torch") and recentEnough())


def isThere(module: str) -> bool:
    """True if a module could be imported; nothing is imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def recentEnough() -> bool:
    """False if the installed PyTorch says that it is older than needed."""
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return True  # not installed by pip: left to the run itself
    numbers = [re.findall(r"\d+", text)[:2] for text in (found or "", torchVersion())]
    installed, needed = ([int(n) for n in part] for part in numbers)
    return installed >= needed


def howToGet() -> str:
    """What to do where PyTorch is missing and cannot be asked for: in scripts, or without the extension."""
    if isThere(EXTENSION):
        way = _(
            "The three-view method needs PyTorch, which is not installed yet. Start once in the panel of CT Slice Synthesis,"
            " which asks before it installs it, or type PyTorchUtils.PyTorchUtilsLogic().installTorch() after import"
            " PyTorchUtils in Slicer's Python console. {offline}"
        )
    else:
        way = _(
            "The three-view method needs PyTorch. Install the extension “PyTorch” in the Extensions Manager, restart Slicer,"
            " and start again. {offline}"
        )
    return way.format(offline=offline())


def offline() -> str:
    """What to do without a network, and without PyTorch."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _(
        "Without a network: download the wheels of PyTorch for Python {version} on another computer, then type"
        " slicer.util.pip_install('--no-index --find-links /path/to/wheels torch') in Slicer's Python console; the page"
        " “PyTorch without a network” has every command. The method “Cubic” works without PyTorch."
    ).format(version=version)


def question() -> str:
    """What is asked before anything is downloaded."""
    return _(
        "The three-view method needs PyTorch{version}, which is not installed yet. It is a download of about 0.2 GB, or 3 GB"
        " where a graphics card of NVIDIA is found, and takes some minutes, in which Slicer does not answer. Install it now,"
        " through the PyTorch extension?"
    ).format(version=" " + torchVersion())


def ensure(confirm: Callable[[str], bool]) -> str:
    """Install PyTorch if it is missing, after one question.

    Args:
        confirm: asks the user; True means yes.

    Returns:
        Empty when PyTorch is there, else the reason why it is not.
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
    except Exception as error:  # pip, the network, a full disk: whatever it was, the way out is the same
        failed = _(
            "PyTorch could not be installed ({error}). The network is the usual cause: check it, and start again. {offline}"
        )
        return failed.format(error=error, offline=offline())
    importlib.invalidate_caches()
    return _("PyTorch was installed, but Slicer does not find it yet: restart Slicer.") if missing(THREE_VIEW) else ""


def declined() -> str:
    """Said to a user who answered no."""
    return _("PyTorch was not installed, so nothing was started. The method “Cubic” works without it.")
