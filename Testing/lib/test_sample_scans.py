"""Samples in the Sample Data module."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def samples(harness):
    from CTSliceSynthesisLib.Scene import SampleScans

    return SampleScans.SAMPLES


def test_the_samples_are_offered_with_pictures_and_without_the_network(harness, samples):
    offered = harness.slicer.modules.sampleDataSources["CT Slice Synthesis"]
    assert [source.sampleName for source in offered] == [sample.name for sample in samples]
    for source in offered:
        assert Path(source.thumbnailFileName).read_bytes().startswith(b"\x89PNG")
        assert source.uris[0].startswith("file:///")
        assert source.customDownloader is None


def test_registering_twice_adds_them_once(harness, samples):
    from CTSliceSynthesisLib.Scene import SampleScans

    SampleScans.register()
    assert len(harness.slicer.modules.sampleDataSources["CT Slice Synthesis"]) == len(samples)


def test_the_checksums_are_those_of_the_files(samples):
    from CTSliceSynthesisLib.Scene import SampleScans

    for sample in samples:
        path = SampleScans.RESOURCES / "SampleData" / sample.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sample.sha256


def test_the_thick_sample_is_every_fourth_slice_of_the_thin_one(harness):
    import SampleData

    slicer = harness.slicer
    thick, thin = (SampleData.downloadSample(name) for name in ("CTBodyThick", "CTBodyThin"))
    assert thick.GetName() == "CTBodyThick"
    assert np.array_equal(slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)[::4])
    assert np.allclose(thick.GetSpacing(), (1.5, 1.5, 6.0))
    assert thick.GetOrigin() == thin.GetOrigin()


def test_the_thick_sample_can_be_increased_by_the_panel(harness, panel):
    import SampleData

    panel._parameters.inputVolume = SampleData.downloadSample("CTBodyThick")
    panel.ui.resolutionBox.setCurrentIndex(2)
    assert panel.ui.runButton.enabled
    assert "192 × 144 × 26 voxels of 1.5 × 1.5 × 6 mm" in panel.ui.factsLabel.text
    assert "192 × 144 × 101 voxels" in panel.ui.planLabel.text


def test_the_test_of_the_module_knows_the_same_scan(harness):
    import SampleData

    made = sys.modules["CTSliceSynthesis"].thickSample(4)
    sample = SampleData.downloadSample("CTBodyThick")
    assert np.array_equal(harness.slicer.util.arrayFromVolume(made), harness.slicer.util.arrayFromVolume(sample))
