"""The sections below the common path, from top to bottom."""

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
"""Name of the .ui file -> the BoundPanel that shows it; made of its widgets by name and of the module's logic."""
