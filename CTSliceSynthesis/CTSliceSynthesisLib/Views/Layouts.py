"""Temporary changes of the view layout by a comparison and by training curves, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


@dataclass
class Change:
    """A layout that replaced another one.

    Attributes:
        owner: object that changed the layout.
        before, shown: layout numbers.
    """

    owner: object
    before: int
    shown: int


class Layouts:
    """Stack of replaced layouts. Does nothing without a main window."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def show(self, owner: object, layout: int) -> None:
        """Show a layout for `owner`, replacing the one it already shows, if any."""
        manager = slicer.app.layoutManager()
        if manager is None or manager.layout == layout:
            change = self._of(owner)
        else:
            change = self._of(owner) or Change(owner, manager.layout, layout)
            if change not in self._changes:
                self._changes.append(change)
            manager.setLayout(layout)
        if change is not None:
            change.shown = layout

    def before(self, owner: object) -> int | None:
        """Return the layout that `owner` replaced; None if it shows none."""
        change = self._of(owner)
        return None if change is None else change.before

    def giveBack(self, owner: object) -> None:
        """Restore the previous layout, unless the user or another owner has changed it since."""
        change, manager = self._of(owner), slicer.app.layoutManager()
        if change is None:
            return
        place = self._changes.index(change)
        self._changes.remove(change)
        if place < len(self._changes):  # a later change restores the layout below it
            self._changes[place].before = change.before
        if manager is not None and manager.layout == change.shown:
            manager.setLayout(change.before)

    def _of(self, owner: object) -> Change | None:
        return next((change for change in self._changes if change.owner is owner), None)


OF_THE_WINDOW = Layouts()
