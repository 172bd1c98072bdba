"""Panel sections below the main one, from top to bottom."""

from __future__ import annotations

from .CheckPanel import CheckPanel
from .ComparePanel import ComparePanel
from .ExportPanel import ExportPanel
from .ModelsPanel import ModelsPanel
from .TrainPanel import TrainPanel

SECTIONS: dict[str, type] = {
    "Compare": ComparePanel,
    "Check": CheckPanel,
    "Export": ExportPanel,
    "Models": ModelsPanel,
    "Train": TrainPanel,
}
"""Name of the .ui file -> its BoundPanel class, which is constructed from the widgets by name and the module's logic."""
