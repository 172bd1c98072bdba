"""Model selector shared by several panels."""

from __future__ import annotations

from ..Setup import Models


def show(box, chosen: str) -> None:
    """List the available models and select `chosen`; select none if it does not exist (any more)."""
    names = Models.names()
    if [box.itemData(index) for index in range(box.count)] != names:
        blocked = box.blockSignals(True)  # updating the list must not change the user's choice
        box.clear()
        for name in names:
            box.addItem(name, name)
        box.blockSignals(blocked)
    box.setCurrentIndex(box.findData(chosen))
