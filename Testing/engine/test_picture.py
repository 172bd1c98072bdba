"""The comparison picture: orientation, common plane, and atomic output."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.picture import WIDTH, comparison_figure, comparison_picture
from CTSliceSynthesisEngine.evaluation.reformat import orientation, scene
from CTSliceSynthesisEngine.synthesis.classical import interpolate_volume
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume

SIZE = (30, 26, 25)
TURNS = [
    np.eye(3)[:, order] * signs for order in map(list, permutations(range(3))) for signs in product((1, -1), repeat=3)
]


@pytest.fixture
def scan(make_volume) -> Volume:
    """A ball with a rough surface in air; 25 axial slices."""
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in SIZE[::-1]], indexing="ij")
    voxels = np.where(i**2 + j**2 + k**2 < 0.8 + 0.1 * np.sin(20 * k), 40, -1000)
    return make_volume(SIZE, (2, 2, 2), voxels=voxels.astype(np.int16), thickness=2.0)


def all_of(scan: Volume) -> dict[str, Volume]:
    """Return all inputs of a picture."""
    thick, truth = hold_out(scan, 4, "slab")
    cubic, ours = (interpolate_volume(thick, 4, method) for method in ("cubic", "bspline"))
    spread = replace(ours, voxels=np.abs(ours.voxels - cubic.voxels))
    return {"thick": thick, "cubic": cubic, "ours": ours, "truth": truth, "disagreement": spread}


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_superior_is_up_and_the_patients_right_or_front_is_left_for_all_48_orientations(
    make_volume, slice_axis: int
) -> None:
    tilt = np.array([[0.99, 0.10, 0.05], [-0.10, 0.99, 0.08], [-0.05, -0.08, 0.99]])
    for turn in TURNS:
        volume = make_volume((6, 5, 4), (1.5, 1.0, 1.2), directions=tilt.T @ turn, slice_axis=slice_axis)
        view = orientation(volume.grid, plane=1)
        assert slice_axis in (view.across, view.up), "the slice axis lies in the plane"
        index = np.stack(np.meshgrid(*map(np.arange, volume.grid.size), indexing="ij"), axis=-1)
        right, front, up = (volume.grid.ras(index)[..., axis].T for axis in range(3))
        assert (np.diff(view.cut(up), axis=0) < 0).all()
        sideways = {"R": right, "A": front}[view.left]
        assert (np.diff(view.cut(sideways), axis=1) < 0).all()


def test_a_stack_of_coronal_slices_is_cut_sagittally() -> None:
    names = [orientation(Grid((5, 5, 5), np.eye(4), axis)).name for axis in range(3)]
    assert names == ["coronal", "sagittal", "coronal"]


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 3, 25])
def test_the_detail_lies_within_the_field_of_view(scan: Volume, slice_axis: int, count: int) -> None:
    size = list(SIZE)
    size[slice_axis] = count
    voxels = scan.voxels[tuple(slice(n) for n in reversed(size))]
    fine = replace(scan, voxels=voxels, grid=replace(scan.grid, size=tuple(size), slice_axis=slice_axis))
    thick, truth = hold_out(fine, 1 if count == 2 else 2, "slab")
    shown = scene(thick, truth.grid, 0.3, 0.72)
    width, height = shown.reformat.size(truth.grid)
    left, top, right, bottom = shown.detail
    assert 0 <= left < right <= width + 1e-9 and 0 <= top < bottom <= height + 1e-9
    assert (bottom - top) / (right - left) == pytest.approx(0.72)


@pytest.mark.parametrize(("end", "place"), [(0, "bottom"), (-1, "top")])
def test_a_detail_at_the_end_of_the_scan_stays_within_the_field_of_view(make_volume, end: int, place: str) -> None:
    voxels = np.full((21, 8, 40), 30, np.int16)
    voxels[end] = 300
    thick = make_volume((40, 8, 21), (1, 1, 3), voxels=voxels)
    fine = thick.grid.refined(3)
    _, top, _, bottom = scene(thick, fine, 0.3, 0.72).detail
    assert (bottom == pytest.approx(61)) if place == "bottom" else (top == 0)


def test_the_plane_is_the_one_where_slices_differ_most_within_the_middle_of_the_body(make_volume) -> None:
    voxels = np.full((9, 20, 12), 30, np.int16)
    voxels[::2, 12] = 300
    voxels[::2, 1] = -400  # larger change, but at the edge of the body
    volume = make_volume((12, 20, 9), (1, 1, 3), voxels=voxels)
    assert scene(volume, volume.grid.refined(3), 0.3, 0.72).reformat.plane == 12


def test_the_window_spans_the_values_in_the_body(scan: Volume) -> None:
    low, high = scene(scan, scan.grid, 0.3, 0.72).window
    assert -1024 <= low < 0 < high <= 100


@pytest.mark.parametrize("given", [(), ("truth", "disagreement")])
def test_a_picture_is_a_png_1600_pixels_wide_with_or_without_truth(
    scan: Volume, tmp_path: Path, given: tuple[str, ...]
) -> None:
    from PIL import Image as pillow

    volumes = all_of(scan)
    path = tmp_path / "bild ü.png"
    path.write_text("old")
    comparison_picture(path, volumes["thick"], volumes["cubic"], volumes["ours"], **{k: volumes[k] for k in given})
    with pillow.open(path) as image:
        assert image.format == "PNG" and image.width == WIDTH
        colours = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 50, "a picture, not an empty page"
    assert path.stat().st_size < 1_500_000
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("given", [("disagreement",), ("truth", "disagreement")])
def test_no_text_is_cut_off_or_overlaps_another(scan: Volume, given: tuple[str, ...]) -> None:
    volumes = all_of(scan)
    figure = comparison_figure(volumes["thick"], volumes["cubic"], volumes["ours"], **{k: volumes[k] for k in given})
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    assert len(boxes) > 15
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_thick_slices_are_drawn_as_blocks_of_their_spacing(scan: Volume) -> None:
    volumes = all_of(scan)
    figure = comparison_figure(volumes["thick"], volumes["cubic"], volumes["ours"])
    thick, _, cubic = (axes.images[0] for axes in figure.axes[:3])
    assert thick.get_array().shape == (28, 30) and cubic.get_array().shape == (25, 30)
    assert np.array_equal(thick.get_array()[0:4], np.repeat(thick.get_array()[:1], 4, axis=0))
    assert tuple(cubic.get_extent()) == (0, 60, 50, 0)
    assert tuple(thick.get_extent()) == (0, 60, 53, -3), "the outer slices reach three quarters of a spacing further"


def test_scans_on_different_grids_are_refused(scan: Volume) -> None:
    volumes = all_of(scan)
    with pytest.raises(SynthesisError, match="found truth of size") as caught:
        comparison_figure(volumes["thick"], volumes["cubic"], volumes["ours"], truth=volumes["thick"])
    assert caught.value.reason == "bad-geometry"


def test_without_matplotlib_the_message_says_what_to_install(scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    volumes = all_of(scan)
    with pytest.raises(SynthesisError, match="pip install matplotlib") as caught:
        comparison_figure(volumes["thick"], volumes["cubic"], volumes["ours"])
    assert caught.value.reason == "bad-option"


def test_matplotlib_is_imported_late_and_pyplot_never() -> None:
    code = (
        "import sys\n"
        "import CTSliceSynthesisEngine.evaluation.picture as picture\n"
        "assert not any(name.split('.')[0] in ('matplotlib', 'torch') for name in sys.modules), 'asked for too early'\n"
        "picture._figure_type()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
