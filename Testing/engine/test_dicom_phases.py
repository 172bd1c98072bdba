"""Interleaved images of one series are separated into stacks; others stay together."""

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.dicom import dicom_folder

STACK = (np.arange(6 * 42) - 1000).reshape(6, 6, 7)
TAGS = {
    "ConvolutionKernel": ("B30f", "B70f"),
    "AcquisitionNumber": ("1", "2"),
    "TemporalPositionIdentifier": ("1", "2"),
    "TriggerTime": ("300", "700"),
    "KVP": ("80", "140"),
    "SliceThickness": ("5", "3"),
    "ImageType": (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"]),
    "ContrastBolusAgent": ("none", "iodine"),
    "AcquisitionTime": ("101010", "101110"),
}


def heights(count, step=5.0, start=0.0):
    return [(0.0, 0.0, start + step * n) for n in range(count)]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(("lift", "count"), [(0.0, 6), (2.5, 6), (1.0, 6), (2.5, 4), (0.0, 3)])
def test_two_phases_that_interleave_or_overlap_are_two_stacks(tmp_path, write_dicom_stack, tag, lift, count):
    first, second = TAGS[tag]
    write_dicom_stack(tmp_path, heights(6), **{tag: first})
    write_dicom_stack(tmp_path, heights(count, start=lift), first=50, **{tag: second})
    actual = dicom_folder.inspect_folder(tmp_path).stacks
    assert sorted(len(stack.slices) for stack in actual) == sorted((6, count))
    with pytest.raises(SynthesisError, match="2 series; choose one"):
        files.read(tmp_path)
    for stack in actual:
        assert np.array_equal(files.read(tmp_path, series=stack.name).voxels, STACK[: len(stack.slices)])


@pytest.mark.parametrize("each", [1, 2, 3])
def test_step_and_shoot_with_an_acquisition_for_every_step_stays_one_stack(tmp_path, write_dicom_stack, each):
    numbers = tuple(str(1 + n // each) for n in range(6))
    times = tuple(f"1010{10 + n // each}" for n in range(6))
    write_dicom_stack(tmp_path, heights(6), AcquisitionNumber=numbers, AcquisitionTime=times)
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_adjacent_regions_with_different_kernels_stay_one_stack(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, heights(6), ConvolutionKernel=("B30f",) * 3 + ("B70f",) * 3)
    assert files.read(tmp_path).grid.slice_count == 6


def test_two_tags_separate_what_one_does_not(tmp_path, write_dicom_stack):
    for number, (kernel, phase) in enumerate([("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]):
        write_dicom_stack(
            tmp_path, heights(6), first=10 * number, ConvolutionKernel=kernel, TemporalPositionIdentifier=phase
        )
    assert [len(stack.slices) for stack in dicom_folder.inspect_folder(tmp_path).stacks] == [6] * 4


def test_a_slice_that_was_scanned_again_does_not_make_a_stack_of_every_slice(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, heights(6), AcquisitionNumber="1")
    write_dicom_stack(
        tmp_path, heights(1, start=10.0), first=60, AcquisitionNumber="2", pixels=lambda n: np.zeros((6, 7), np.int16)
    )
    actual = dicom_folder.inspect_folder(tmp_path)
    assert [len(stack.slices) for stack in actual.stacks] == [6]
    assert np.array_equal(files.read(tmp_path).voxels, STACK)


def test_passes_over_the_body_are_separated_by_instance_numbers(tmp_path, write_dicom_stack):
    write_dicom_stack(tmp_path, heights(6), InstanceNumber=tuple(str(n) for n in range(1, 7)))
    write_dicom_stack(tmp_path, heights(6), first=50, InstanceNumber=tuple(str(n) for n in range(7, 13)),
                      pixels=lambda n: (STACK[n] + 1).astype(np.int16))  # fmt: skip
    assert [len(stack.slices) for stack in dicom_folder.inspect_folder(tmp_path).stacks] == [6, 6]
    assert np.array_equal(files.read(tmp_path, series="1.2.5#2").voxels, STACK + 1)


def test_a_damaged_slice_does_not_affect_another_series(tmp_path, write_dicom_stack):
    path = write_dicom_stack(tmp_path, heights(6), series="1.2.77")[2]
    path.write_bytes(path.read_bytes()[:-4])
    write_dicom_stack(tmp_path, heights(6), series="1.2.5")
    assert np.array_equal(files.read(tmp_path, series="1.2.5").voxels, STACK)
    with pytest.raises(SynthesisError, match="cut short or damaged"):
        files.read(tmp_path, series="1.2.77")


def frame_groups(positions, name, values):
    """Build per-frame groups of an enhanced file, with a frame content value for each frame."""
    from pydicom.dataset import Dataset

    groups = []
    for position, value in zip(positions, values, strict=True):
        group, place, content = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = list(position)
        setattr(content, name, value)
        group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
        groups.append(group)
    return groups


@pytest.mark.parametrize(("name", "values"), [("TemporalPositionIndex", (1, 2)), ("StackID", ("1", "2"))])
def test_an_enhanced_file_with_two_volumes_gives_both(tmp_path, write_dicom_frames, name, values):
    positions = heights(3) + heights(3, start=2.5)
    groups = frame_groups(positions, name, [values[n // 3] for n in range(6)])
    write_dicom_frames(tmp_path / "enhanced.dcm", positions, PerFrameFunctionalGroupsSequence=groups)
    with pytest.raises(SynthesisError, match="2 series; choose one"):
        files.read(tmp_path)
    assert np.array_equal(files.read(tmp_path, series="1.2.6#2").voxels, STACK[3:] - 24)


def test_enhanced_files_of_one_frame_each_form_a_stack(tmp_path, write_dicom_frames):
    for number, position in enumerate(heights(5)):
        write_dicom_frames(tmp_path / f"{number}.dcm", [position], SOPInstanceUID=f"1.2.6.{number}")
    volume = files.read(tmp_path)
    assert volume.voxels.shape == (5, 6, 7)
    assert volume.grid.slice_spacing == pytest.approx(5)
