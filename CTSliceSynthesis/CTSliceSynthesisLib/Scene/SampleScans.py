"""Sample scans for Slicer's Sample Data module: files bundled with this module, so nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

CATEGORY = "CT Slice Synthesis"
RESOURCES = Path(__file__).parents[2] / "Resources"


@dataclass(frozen=True)
class Sample:
    """One sample scan.

    Attributes:
        name: name used by scripts.
        nodeName: name of the volume node.
        file: file name in Resources/SampleData.
        sha256: checksum of the file: a differing copy in Slicer's cache is replaced.
        icon: file name in Resources/Icons.
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
"""A scan with a slice spacing of 6 mm, and the original with all slices, 1.5 mm apart."""


def register() -> None:
    """Register the samples in the Sample Data module, also for scripts: SampleData.downloadSample("CTBodyThick")."""
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
