"""Interpolation of label maps: shapes, common borders and acquired slices are preserved."""

import gzip

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.jobs.increase import increase
from CTSliceSynthesisEngine.jobs.increase_request import IncreaseRequest
from CTSliceSynthesisEngine.jobs.transfer_labels import TransferRequest, transfer_labels
from CTSliceSynthesisEngine.synthesis.label_maps import transition_positions, upsample_labels
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.label_files import label_grid, read_labels

RADIUS = 11.7


def ball(make_volume, spacing, centre=(20, 20, 20), radius=RADIUS, size_mm=41, dtype=np.uint8):
    """Build a label map with a ball of label 3, sizes in mm."""
    size = [round(size_mm / step) for step in spacing]
    k, j, i = (np.arange(n) for n in size[::-1])
    away = (
        (k[:, None, None] * spacing[2] - centre[2]) ** 2
        + (j[:, None] * spacing[1] - centre[1]) ** 2
        + (i * spacing[0] - centre[0]) ** 2
    )
    return make_volume(size=size, spacing=spacing, voxels=np.where(away <= radius**2, 3, 0).astype(dtype))


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("factor", [2, 4, 5, 2.5])
def test_a_ball_stays_a_ball(make_volume, factor):
    thick = ball(make_volume, (0.8, 0.7, 5.0))
    thin, truth = upsample_labels(thick, factor), ball(make_volume, (0.8, 0.7, 5.0 / factor), size_mm=41)
    count = thin.grid.slice_count
    actual, true = thin.voxels == 3, truth.voxels[:count] == 3
    steps = np.arange(count) / factor
    nearest = thick.voxels[np.rint(steps).astype(int)] == 3
    assert dice(actual, true) > 0.95
    assert dice(actual, true) > dice(nearest, true)
    assert actual.sum() == pytest.approx(true.sum(), rel=0.06)
    areas = actual.sum(axis=(1, 2))
    assert (np.diff(areas[: count // 2]) >= 0).all()  # increasing towards its middle
    assert set(np.unique(thin.voxels)) == {0, 3}


def test_acquired_slices_are_unchanged_for_every_type(make_volume):
    labels = np.random.default_rng(0).integers(0, 5, (6, 9, 8))
    for dtype in ("uint8", "int16", "uint16", "int64", "float32"):
        for axis in (0, 1, 2):
            thick = make_volume(size=(8, 9, 6), spacing=(1.0, 1.0, 4.0), voxels=labels.astype(dtype), slice_axis=axis)
            thin = upsample_labels(thick, 3)
            kept = np.moveaxis(thin.voxels, 2 - axis, 0)[::3]
            assert thin.voxels.dtype == np.dtype(dtype)
            assert thin.grid.matches(thick.grid.refined(3))
            assert np.array_equal(kept, np.moveaxis(thick.voxels, 2 - axis, 0))
            assert set(np.unique(thin.voxels)) <= set(range(5))


def test_adjacent_labels_share_their_border_without_gap_or_overlap(make_volume):
    """Two halves of a box whose border moves 6 pixels per slice; nothing else changes."""
    voxels = np.zeros((2, 20, 30), np.uint8)
    for k, border in enumerate((12, 18)):
        voxels[k, 4:16, 3:border], voxels[k, 4:16, border:27] = 1, 2
    thin = upsample_labels(make_volume(size=(30, 20, 2), spacing=(1.0, 1.0, 6.0), voxels=voxels), 6).voxels
    assert np.array_equal(thin > 0, np.broadcast_to(voxels[0] > 0, thin.shape))
    assert [(plane[8] == 1).sum() + 3 for plane in thin] == [12, 13, 14, 15, 16, 17, 18]


def test_a_border_moves_linearly_with_the_distances(make_volume):
    """A shape that grows by 3 mm over a gap grows 1 mm per third of the gap, in mm, not pixels."""
    voxels = np.zeros((2, 25, 40), np.uint8)
    voxels[0, :, 18:22], voxels[1, :, 12:28] = 1, 1
    thick = make_volume(size=(40, 25, 2), spacing=(0.5, 2.0, 9.0), voxels=voxels)
    widths = [(plane[12] == 1).sum() for plane in upsample_labels(thick, 6).voxels]
    assert widths == [4, 6, 8, 10, 12, 14, 16]


def test_a_label_in_one_slice_only_ends_half_way_at_its_center(make_volume):
    voxels = np.zeros((3, 41, 41), np.uint8)
    voxels[1, 10:31, 10:31] = 7
    turn = transition_positions(
        voxels[1], voxels[2], make_volume(size=(41, 41, 3), spacing=(1.0, 1.0, 4.0), voxels=voxels).grid
    )
    assert turn[20, 20] == pytest.approx(0.5)
    assert turn[10, 10] < turn[12, 12] < 0.5
    assert (turn[voxels[1] == 0] == 1).all()


def test_interpolation_is_symmetric_in_the_slice_order(make_volume):
    rng = np.random.default_rng(1)
    voxels = np.repeat(np.repeat(rng.integers(0, 4, (4, 6, 5)), 5, axis=1), 5, axis=2).astype(np.int16)
    one = make_volume(size=(25, 30, 4), spacing=(1.0, 1.0, 3.0), voxels=voxels)
    other = make_volume(size=(25, 30, 4), spacing=(1.0, 1.0, 3.0), voxels=voxels[::-1].copy())
    same = upsample_labels(one, 3).voxels == upsample_labels(other, 3).voxels[::-1]
    assert same.all()


@pytest.fixture
def thick(tmp_path, make_scan, write_scan):
    write_scan(make_scan(thickness=5.0), tmp_path / "thick.nrrd")
    return tmp_path / "thick.nrrd"


def labels_for(make_scan, dtype=np.uint8, **place):
    scan = make_scan(thickness=None, **place)
    return type(scan)((scan.voxels > 200).astype(dtype) * 2, scan.grid)


def carry(thick, folder, name="labels.nrrd", **fields):
    """Run the job in this process on the scan and this label map, with factor 3."""
    asked = {"input": str(thick), "output": str(folder / "thin.nrrd"), "method": "linear", "factor": 3}
    asked |= {"labels": str(folder / name), "output_labels": str(folder / f"thin_{name}")}
    told = []
    increase(IncreaseRequest(**(asked | fields)), lambda event, **facts: told.append((event, facts)))
    return [(facts["done"], facts["total"]) for event, facts in told if facts.get("stage") == "labels"]


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_labels_are_interpolated_exactly_in_every_format(tmp_path, make_scan, write_scan, thick, suffix):
    labels = labels_for(make_scan)
    write_scan(labels, tmp_path / f"labels{suffix}")
    assert carry(thick, tmp_path, f"labels{suffix}") == [(done, 11) for done in range(12)]
    actual = read_labels(tmp_path / f"thin_labels{suffix}", files.read_header(tmp_path / "thin.nrrd").grid)
    assert np.array_equal(actual.voxels, upsample_labels(labels, 3).voxels)
    assert actual.voxels.dtype == np.uint8


def test_the_command_takes_two_names_and_its_output_is_not_a_scan(tmp_path, make_scan, write_scan, ctslices, thick):
    write_scan(labels_for(make_scan), tmp_path / "labels.nrrd")
    asked = ("--method", "linear", "--labels", tmp_path / "labels.nrrd", tmp_path / "thin_labels.nrrd")
    done = ctslices("increase", thick, tmp_path / "thin.nrrd", *asked)
    assert done.returncode == 0, done.stderr
    with pytest.raises(SynthesisError, match="holds the label map of a scan"):
        carry(tmp_path / "thin_labels.nrrd", tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"size": (24, 20, 11)},
            "the scan's grid, 24 x 20 x 12 voxels of 0.7 x 0.8 x 5 mm from -10, 20, -30, but .* 24 x 20 x 11",
        ),
        ({"spacing": (0.7, 0.8, 4.0)}, "the scan's grid"),
        (
            {"origin": (-10.0, 20.0, 170.0)},
            "is 200 mm away from the scan, as labels of another patient or scan would be",
        ),
        ({"dtype": np.float32}, "Labels are whole numbers, but .* holds 0.5"),
    ],
)
def test_labels_of_another_scan_are_refused_and_leave_no_files(
    tmp_path, make_scan, write_scan, thick, change, sentence
):
    labels = labels_for(make_scan, **{"dtype": np.uint8, **change})
    if labels.voxels.dtype.kind == "f":
        labels.voxels[2, 3, 4] = 0.5
    write_scan(labels, tmp_path / "labels.nrrd")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SynthesisError, match=sentence):
        carry(thick, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_scan_instead_of_labels_is_refused(tmp_path, make_volume, write_scan):
    scan = make_volume(size=(20, 20, 5))
    write_scan(scan, tmp_path / "scan.nrrd")
    with pytest.raises(SynthesisError, match=r"at most 1000 different numbers, but .* holds 2000"):
        read_labels(tmp_path / "scan.nrrd", scan.grid)


def test_empty_label_maps_and_integers_in_floating_types_are_read(tmp_path, make_volume, write_scan):
    for dtype, value in (("int16", 0), ("float64", 7)):
        labels = make_volume(size=(6, 5, 4), voxels=np.full((4, 5, 6), value, dtype))
        write_scan(labels, tmp_path / f"{dtype}.nrrd")
        actual = read_labels(tmp_path / f"{dtype}.nrrd", labels.grid)
        assert np.array_equal(actual.voxels, labels.voxels)
        assert actual.voxels.dtype == labels.voxels.dtype


def test_a_highly_compressed_label_map_is_read(tmp_path, make_volume):
    """For a scan, this compression ratio would be rejected."""
    voxels = np.zeros((260, 512, 512), np.uint8)
    voxels[100:200, 100:200, 100:200] = 1
    packed = gzip.compress(voxels.tobytes(), 1)
    assert voxels.nbytes > 200 * len(packed)
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 512 512 260\nencoding: gzip\nspace: left-posterior-superior\n"
    head += "space directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (0,0,0)\n\n"
    (tmp_path / "labels.nrrd").write_bytes(head.encode() + packed)
    grid = Grid((512, 512, 260), np.diag([-1.0, -1.0, 2.0, 1.0]))
    assert read_labels(tmp_path / "labels.nrrd", grid).voxels.sum() == 100**3


def test_labels_need_separate_files_and_no_dicom_series(tmp_path, make_scan, write_scan, thick):
    write_scan(labels_for(make_scan), tmp_path / "labels.nrrd")
    dicom = {"output": str(tmp_path / "series"), "format": "dicom", "patient_id": "1", "patient_name": "A"}
    for sentence, fields in (
        ("is given; give both", {"output_labels": None}),
        ("a DICOM series is requested", dicom),
        ("must not replace the input", {"output_labels": str(tmp_path / "labels.nrrd"), "overwrite": True}),
        ("Two of the outputs", {"output_labels": str(tmp_path / "thin.nrrd")}),
    ):
        with pytest.raises(SynthesisError, match=sentence):
            carry(thick, tmp_path, **fields)


def test_the_job_of_the_panel_interpolates_all_label_maps_or_none(tmp_path, make_scan, write_scan):
    both = {str(tmp_path / f"{n}.nrrd"): str(tmp_path / f"{n} thin.nrrd") for n in range(2)}
    for path, dtype in zip(both, (np.uint8, np.int16), strict=True):
        write_scan(labels_for(make_scan, dtype), path)
    shares = []

    def emit(kind, **fields):
        if kind == "progress":
            shares.append(fields["done"] / fields["total"])

    assert transfer_labels(TransferRequest(both, 2.5, 2), emit)["labels"] == both
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    for path, output in both.items():
        labels = read_labels(path, label_grid(path, 2))
        fine = upsample_labels(labels, 2.5)
        found = read_labels(output, fine.grid)
        assert found.voxels.dtype == labels.voxels.dtype
        assert np.array_equal(found.voxels, fine.voxels)
    missing = {
        **dict.fromkeys(both, str(tmp_path / "again.nrrd")),
        str(tmp_path / "none.nrrd"): str(tmp_path / "x.nrrd"),
    }
    with pytest.raises(SynthesisError, match=r"none\.nrrd"):
        transfer_labels(TransferRequest(missing, 2.0, 2), emit)
    assert not (tmp_path / "again.nrrd").exists()
