"""What the module Sample Data offers of ours: files that come with the module, so that nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

CATEGORY = "CT Slice Synthesis"
RESOURCES = Path(__file__).parents[2] / "Resources"


@dataclass(frozen=True)
class Sample:
    """One scan.

    Attributes:
        name: by which scripts ask for it.
        nodeName: of the volume.
        file: in Resources/SampleData.
        sha256: of the file: a copy in Slicer's cache that differs is made anew.
        icon: in Resources/Icons.
    """

    name: str
    nodeName: str
    file: str
    sha256: str
    icon: str


SAMPLES = (
    Sample(
        "CTBodyThick",
        "CTBodyThick",
        "ts_body_6p0_every_fourth.nrrd",
        "3053ba24703488d5b99ebcb099ca3b2d4b11b82ac463bdf4c02c2ea5e65cf8cc",
        "SampleThick.png",
    ),
    Sample(
        "CTBodyThin",
        "CTBodyThin",
        "ts_body_1p5iso_crop.nrrd",
        "51c027bc75932deafced1e3787d3cea5a5edaf68a229d84caf9c00c9ec3df1f2",
        "SampleThin.png",
    ),
)
"""A scan with slices 6 mm apart, and the one it was taken from, with all of them, 1.5 mm apart."""


def register() -> None:
    """Offer the samples in the module Sample Data, and to scripts: SampleData.downloadSample("CTBodyThick")."""
    import SampleData

    for sample in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=_(CATEGORY),
            sampleName=sample.name,
            thumbnailFileName=str(RESOURCES / "Icons" / sample.icon),
            uris=(RESOURCES / "SampleData" / sample.file).as_uri(),
            fileNames=sample.file,
            nodeNames=sample.nodeName,
            checksums=f"SHA256:{sample.sha256}",
        )
