"""The layout of the views, which a comparison and the curves of a training change for a while, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


@dataclass
class Change:
    """One layout that was put in place of another.

    Attributes:
        owner: who did it.
        before, shown: numbers of the layouts.
    """

    owner: object
    before: int
    shown: int


class Layouts:
    """Remembers which layouts lie below the one that is shown. Without a main window nothing happens."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def show(self, owner: object, layout: int) -> None:
        """Show a layout for `owner`, in place of the one that it shows already, if any."""
        manager = slicer.app.layoutManager()
        if manager is None or manager.layout == layout:
            own = self._of(owner)
        else:
            own = self._of(owner) or Change(owner, manager.layout, layout)
            if own not in self._changes:
                self._changes.append(own)
            manager.setLayout(layout)
        if own is not None:
            own.shown = layout

    def before(self, owner: object) -> int | None:
        """The layout below the one that `owner` shows; None if it shows none."""
        own = self._of(owner)
        return None if own is None else own.before

    def giveBack(self, owner: object) -> None:
        """Put back the layout that was there before, unless the user, or somebody else, has chosen another one since."""
        own, manager = self._of(owner), slicer.app.layoutManager()
        if own is None:
            return
        place = self._changes.index(own)
        self._changes.remove(own)
        if place < len(self._changes):  # something of ours lies above: it gives back what lies below
            self._changes[place].before = own.before
        if manager is not None and manager.layout == own.shown:
            manager.setLayout(own.before)

    def _of(self, owner: object) -> Change | None:
        return next((change for change in self._changes if change.owner is owner), None)


OF_THE_WINDOW = Layouts()
