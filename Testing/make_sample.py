"""Makes what Sample Data offers from the bundled scan: `python Testing/make_sample.py`.

The thick sample is every fourth slice of it; the thumbnails are coronal planes of both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import SimpleITK
from PySide6 import QtCore, QtGui

RESOURCES = Path(__file__).parents[1] / "CTSliceSynthesis" / "Resources"
THIN = RESOURCES / "SampleData" / "ts_body_1p5iso_crop.nrrd"
THICK = RESOURCES / "SampleData" / "ts_body_6p0_every_fourth.nrrd"
FACTOR = 4
SIDE, ROW = 200, 72  # pixels of a thumbnail; the coronal plane that it shows
WINDOW = -1000, 900  # HU


def main() -> None:
    thin = SimpleITK.ReadImage(str(THIN))
    thick = thin[:, :, ::FACTOR]
    SimpleITK.WriteImage(thick, str(THICK), useCompression=True)
    print(THICK.name, hashlib.sha256(THICK.read_bytes()).hexdigest())
    for name, image in (("SampleThick", thick), ("SampleThin", thin)):
        picture(image).save(str(RESOURCES / "Icons" / f"{name}.png"))


def picture(image: SimpleITK.Image) -> QtGui.QImage:
    """A square of the coronal plane, each voxel a block, so that the slices can be counted."""
    plane = SimpleITK.GetArrayViewFromImage(image)[::-1, ROW, :]
    low, high = WINDOW
    grey = (np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    rows, columns = grey.shape
    whole = QtGui.QImage(grey.tobytes(), columns, rows, columns, QtGui.QImage.Format.Format_Grayscale8)
    tall = image.GetSpacing()[2] * rows / (image.GetSpacing()[0] * columns)
    width = round(SIDE / tall)
    return whole.scaled(width, SIDE, QtCore.Qt.AspectRatioMode.IgnoreAspectRatio).copy(
        (width - SIDE) // 2, 0, SIDE, SIDE
    )


if __name__ == "__main__":
    main()
