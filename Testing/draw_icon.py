"""Draws the PNG icons from the SVG: `python Testing/draw_icon.py`, after the icon has changed."""

import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from PySide6 import QtGui

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "CTSliceSynthesis" / "Resources" / "Icons" / "CTSliceSynthesis.svg"


def main() -> None:
    application = QtGui.QGuiApplication([])
    picture = QtGui.QIcon(str(SOURCE)).pixmap(128, 128)
    for path in (SOURCE.with_suffix(".png"), REPOSITORY / "Resources" / "Icons" / "CTSliceSynthesis.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(str(path))
    del application


if __name__ == "__main__":
    main()
