"""Whether a slice view shows an acquired or a synthesized slice: geometry and label."""

import numpy as np
import pytest

STEP = 1.5  # mm between slices of the result


def view(offset, turn=0.0):
    """A view whose plane lies `offset` mm along S, turned about its horizontal axis by `turn` degrees."""
    plane = np.eye(4)
    angle = np.radians(turn)
    plane[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    plane[2, 3] = offset
    return plane


def describe(offset, turn=0.0, mixes=True, slab=0.0, matrix=None, factor=4, count=9):
    from CTSliceSynthesisLib.Scene import Origin
    from CTSliceSynthesisLib.Views import SliceKinds

    matrix = np.diag([1.0, 1.0, STEP, 1.0]) if matrix is None else matrix
    return SliceKinds.describe(Origin.Stack(factor, 2, count), matrix, 100.0, view(offset, turn), mixes, slab)


BETWEEN = "synthesized between\nacquired slices {} and {}"


@pytest.mark.parametrize(
    ("index", "mixes", "words"),
    [
        (0, True, "acquired slice 1"),
        (1, True, BETWEEN.format(1, 2)),
        (3, True, BETWEEN.format(1, 2)),
        (4, True, "acquired slice 2"),
        (4.01, True, "acquired slice 2"),
        (3.9, True, BETWEEN.format(1, 2)),  # mixed from a synthesized and an acquired slice
        (3.9, False, "acquired slice 2"),  # the nearest slice alone
        (4.4, False, "acquired slice 2"),
        (4.6, False, BETWEEN.format(2, 3)),
        (8, True, "acquired slice 3"),
        (-0.4, True, "acquired slice 1"),
        (-1.2, True, ""),
        (9.2, True, ""),
        (-0.6, False, ""),
    ],
)
def test_a_view_parallel_to_the_slices_shows_a_single_kind(harness, index, mixes, words):
    assert describe(index * STEP, mixes=mixes) == words


def test_a_view_across_the_slices_shows_both_kinds(harness):
    assert describe(3.0, turn=90) == "acquired and synthesized slices"
    assert describe(3.0, turn=5) == "acquired and synthesized slices"
    assert describe(6.0, turn=0.1) == "acquired slice 2"


def test_a_slab_reports_all_projected_slices(harness):
    assert describe(6.0, slab=0.05) == "acquired slice 2"
    assert describe(6.0, slab=1.0) == "acquired and synthesized slices"
    assert describe(3.0, slab=3.0) == BETWEEN.format(1, 2)
    assert describe(6.0, slab=12.0) == "acquired and synthesized slices"


def test_a_tilted_gantry_shears_the_stack_but_not_its_slices(harness):
    matrix = np.diag([1.0, 1.0, STEP, 1.0])
    matrix[1, 2] = 0.4
    assert describe(4 * STEP, matrix=matrix) == "acquired slice 2"
    assert describe(5 * STEP, matrix=matrix) == BETWEEN.format(2, 3)


@pytest.fixture
def result(harness, logic, makeVolume):
    """A result of factor 4, made by the real engine, alone in the red view."""
    thin = logic.increaseResolution(makeVolume(size=(24, 20, 8)), factor=4, method="cubic")
    widget = harness.slicer.app.layoutManager().sliceWidget("Red")
    widget.mrmlSliceNode().SetOrientation("Axial")
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(thin.GetID())
    return thin


def shown(harness, name="Red"):
    import vtk

    view = harness.slicer.app.layoutManager().sliceWidget(name).sliceView()
    return view.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge) or ""


def goTo(harness, node, index):
    """Show the plane of a slice of a volume, fractions included, in the red view."""
    from test_geometry import world

    harness.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetSliceOffset(world(node, (0, 0, index))[2])


def test_the_label_is_updated_while_scrolling(harness, result):
    words = []
    for index in range(6):
        goTo(harness, result, index)
        words.append(shown(harness))
    assert words == ["acquired slice 1", *[BETWEEN.format(1, 2)] * 3, "acquired slice 2", BETWEEN.format(2, 3)]
    goTo(harness, result, 4.3)
    assert shown(harness) == BETWEEN.format(2, 3)
    result.GetDisplayNode().SetInterpolate(False)
    assert shown(harness) == "acquired slice 2"


def test_other_volumes_and_derived_maps_are_not_labeled(harness, result, makeVolume):
    composite = harness.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert shown(harness)
    composite.SetBackgroundVolumeID(makeVolume(name="other").GetID())
    assert shown(harness) == ""
    composite.SetBackgroundVolumeID(result.GetID())
    assert shown(harness)
    composite.SetBackgroundVolumeID(None)
    assert shown(harness) == ""


def test_parent_transforms_are_followed(harness, result):
    slicer = harness.slicer
    goTo(harness, result, 4)
    before = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceOffset()
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    result.SetAndObserveTransformNodeID(parent.GetID())
    shift = np.eye(4)
    shift[2, 3] = 1.25  # one slice
    slicer.util.updateTransformMatrixFromArray(parent, shift)
    assert slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceOffset() == before
    assert shown(harness) == BETWEEN.format(1, 2)
    goTo(harness, result, 4)
    assert shown(harness) == "acquired slice 2"


def test_a_coronal_view_shows_both_kinds(harness, result):
    slicer = harness.slicer
    goTo(harness, result, 4)
    slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetOrientation("Coronal")
    assert shown(harness) == "acquired and synthesized slices"


@pytest.mark.parametrize(
    ("attribute", "value"), [("factor", None), ("factor", "9" * 400), ("factor", "-4"), ("factor", "0"), ("factor", "x"),
                             ("slice_axis", None), ("slice_axis", "q"), ("slice_axis", "")],
)  # fmt: skip
def test_invalid_attributes_give_no_label(harness, result, attribute, value):
    from CTSliceSynthesisLib.Scene import Origin

    if value is None:
        result.RemoveAttribute(f"CTSliceSynthesis.{attribute}")
    else:
        result.SetAttribute(f"CTSliceSynthesis.{attribute}", value)
    assert Origin.stackOf(result) is None


def test_a_cropped_result_has_no_label(harness, result):
    from CTSliceSynthesisLib.Scene import Origin

    assert Origin.stackOf(result).count == 29
    harness.slicer.util.updateVolumeFromArray(result, harness.slicer.util.arrayFromVolume(result)[:27].copy())
    assert Origin.stackOf(result) is None


def test_the_labels_are_shown_after_saving_and_loading_the_scene(harness, result, tmp_path):
    slicer = harness.slicer
    assert slicer.util.saveNode(result, str(tmp_path / "thin.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    harness.closeScene()
    assert shown(harness) == ""
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    loaded = slicer.util.getNode("scan x4 cubic")
    widget = slicer.app.layoutManager().sliceWidget("Red")
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(loaded.GetID())
    goTo(harness, loaded, 4)
    assert shown(harness) == "acquired slice 2"
    goTo(harness, loaded, 6)
    assert shown(harness) == BETWEEN.format(2, 3)


def test_with_an_exact_spacing_only_coinciding_slices_are_labeled_acquired(harness, logic, makeVolume):
    from CTSliceSynthesisLib.Scene import Origin

    thin = logic.increaseResolution(makeVolume(size=(24, 20, 6)), spacing=2.0, exact=True, method="linear")
    stack = Origin.stackOf(thin)
    assert (stack.factor, stack.count) == (2.5, 13)
    words = [describe(index * 2.0, matrix=np.diag([1.0, 1.0, 2.0, 1.0]), factor=2.5, count=13) for index in range(6)]
    assert words == [
        "acquired slice 1",
        *[BETWEEN.format(1, 2)] * 2,
        *[BETWEEN.format(2, 3)] * 2,
        "acquired slice 3",
    ]
    harness.slicer.util.updateVolumeFromArray(thin, harness.slicer.util.arrayFromVolume(thin)[:11].copy())
    assert Origin.stackOf(thin) is None  # cropped since
