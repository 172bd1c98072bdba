"""The choice of a model, in every panel that offers it."""

from __future__ import annotations

from ..Setup import Models


def show(box, chosen: str) -> None:
    """List the models that there are, and show which one is chosen; none, where it is not there (any more)."""
    names = Models.names()
    if [box.itemData(index) for index in range(box.count)] != names:
        blocked = box.blockSignals(True)  # what the user chose must not change because the list does
        box.clear()
        for name in names:
            box.addItem(name, name)
        box.blockSignals(blocked)
    box.setCurrentIndex(box.findData(chosen))
