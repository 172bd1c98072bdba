"""Planning of a run."""

import numpy as np
import pytest
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import plan as plans
from CTSliceSynthesisEngine.synthesis.options import FACTORS, METHODS, THREE_VIEW, SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import check_memory, estimate_seconds, make_plan

INT16 = np.dtype(np.int16)


def refused(reason, word, call, *arguments, **options):
    with pytest.raises(SynthesisError, match=word) as caught:
        call(*arguments, **options)
    assert caught.value.reason == reason
    assert str(caught.value).endswith(".")


@pytest.fixture
def grid(make_volume):
    """12 slices of 24 x 20 pixels, 5 mm apart, pixels of 0.7 x 0.8 mm."""

    def build(slices=12, spacing=(0.7, 0.8, 5.0), **options):
        return make_volume((24, 20, slices), spacing, **options).grid

    return build


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("method", METHODS)
def test_every_factor_is_planned(grid, factor, method):
    plan = make_plan(grid(), INT16, SynthesisOptions(factor=factor, method=method))
    assert (plan.factor, plan.method) == (factor, method)
    assert plan.output_grid.size == (24, 20, 11 * factor + 1)
    assert plan.output_grid.slice_spacing == pytest.approx(5 / factor)


def test_the_default_factor_is_two(grid):
    assert make_plan(grid(), INT16).factor == 2


@pytest.mark.parametrize("factor", [0, 1, 9, -2, 2.5])
def test_invalid_factors_are_refused(grid, factor):
    refused("bad-option", "from 2 to 8", make_plan, grid(), INT16, SynthesisOptions(factor=factor))


def test_contradictory_options_are_refused(grid):
    for wishes in (
        {"factor": 2, "spacing": 1.0},
        {"factor": 2, "isotropic": True},
        {"spacing": 1.0, "isotropic": True},
    ):
        refused("bad-option", "only one of factor", make_plan, grid(), INT16, SynthesisOptions(**wishes))


@pytest.mark.parametrize(
    ("wanted", "factor", "said"),
    [(2.5, 2, False), (1.25, 4, False), (1.0, 5, False), (1.1, 5, True), (2.0, 3, True), (0.1, 8, True)],
)
def test_a_spacing_selects_the_nearest_factor_and_reports_the_actual_spacing(grid, wanted, factor, said):
    plan = make_plan(grid(thickness=5.0), INT16, SynthesisOptions(spacing=wanted))
    assert plan.factor == factor
    remarks = [sentence for sentence in plan.remarks if "nearest whole factor" in sentence]
    assert len(remarks) == said
    if said:
        assert f"{wanted:.3g} mm was requested" in remarks[0]
        assert f"{5 / factor:.3g} mm" in remarks[0]


@pytest.mark.parametrize("wanted", [0, -1.0, 5.0, 7.5, float("nan")])
def test_invalid_spacings_are_refused(grid, wanted):
    refused("bad-option", "between 0 and the scan's 5 mm", make_plan, grid(), INT16, SynthesisOptions(spacing=wanted))


def test_isotropic_approximates_the_pixel_spacing_and_reports_it(grid):
    plan = make_plan(grid(spacing=(1.0, 1.0, 3.1), thickness=3.0), INT16, SynthesisOptions(isotropic=True))
    assert plan.factor == 3
    assert "1 mm was requested; the nearest whole factor is 3, which gives 1.03 mm." in plan.remarks


@pytest.mark.parametrize("wish", [{}, {"factor": 2}, {"isotropic": True}])
def test_an_isotropic_scan_is_refused_unless_accepted(grid, wish):
    thin = grid(spacing=(0.8, 0.8, 0.8))
    refused("bad-geometry", "already isotropic.*--accept-isotropic", make_plan, thin, INT16, SynthesisOptions(**wish))
    assert make_plan(thin, INT16, SynthesisOptions(accept_isotropic=True, **wish)).factor == 2


@pytest.mark.parametrize(("method", "least"), [(THREE_VIEW, 2), ("linear", 2), ("cubic", 2), ("bspline", 4)])
def test_each_method_needs_a_minimum_number_of_slices(grid, method, least):
    make_plan(grid(slices=least), INT16, SynthesisOptions(method=method))
    if least > 2:
        refused(
            "bad-input",
            f"needs at least {least} slices, found 3",
            make_plan,
            grid(slices=3),
            INT16,
            SynthesisOptions(method=method),
        )
    refused("bad-input", "found 1", make_plan, grid(slices=1), INT16, SynthesisOptions(method=method))


def test_unknown_methods_are_refused(grid):
    refused(
        "bad-option", "three-view, linear, cubic, bspline", make_plan, grid(), INT16, SynthesisOptions(method="sinc")
    )


def test_a_model_for_one_factor_refuses_others(grid):
    published = PRESETS["published"]
    assert make_plan(grid(), INT16, SynthesisOptions(factor=2), recipe=published).factor == 2
    refused("bad-model", "factor 2 only, not 3", make_plan, grid(), INT16, SynthesisOptions(factor=3), recipe=published)
    assert make_plan(grid(), INT16, SynthesisOptions(factor=3, method="cubic"), recipe=published).factor == 3


@pytest.mark.parametrize(
    ("thickness", "factor", "expected"),
    [
        (None, 2, None),  # unknown stays unknown
        (1.0, 2, 1.0),  # thinner than their spacing: unchanged
        (5.0, 2, 2.5),  # contiguous: as thin as the new spacing
        (4.6, 4, 1.25),
        (6.0, 2, 2.5),  # overlapping
        (4.4, 2, 4.4),
    ],
)
def test_the_output_thickness_depends_on_that_of_the_input(grid, thickness, factor, expected):
    plan = make_plan(grid(thickness=thickness), INT16, SynthesisOptions(factor=factor))
    assert plan.output_thickness == pytest.approx(expected) if expected else plan.output_thickness is None


def test_an_unknown_thickness_is_reported_if_a_network_needs_it(grid):
    assert any("--thickness" in sentence for sentence in make_plan(grid(), INT16).remarks)
    assert make_plan(grid(thickness=5.0), INT16).remarks == ()
    assert make_plan(grid(), INT16, SynthesisOptions(method="cubic")).remarks == ()


def test_memory_includes_input_output_and_additional_volumes(grid):
    voxels = 24 * 20 * (12 + 23)
    assert make_plan(grid(), INT16, SynthesisOptions(method="cubic")).memory_bytes >= 2 * voxels
    assert make_plan(grid(), np.dtype(np.float64), SynthesisOptions(method="cubic")).memory_bytes >= 8 * voxels
    plain, spread = (
        make_plan(grid(), INT16, SynthesisOptions(outputs=outputs)).memory_bytes for outputs in ((), ("disagreement",))
    )
    assert spread - plain == 2 * 24 * 20 * 23
    published = make_plan(grid(), INT16, recipe=PRESETS["published"]).memory_bytes
    assert published > make_plan(grid(), INT16).memory_bytes


def test_a_run_that_does_not_fit_is_refused_with_both_figures(grid):
    plan = make_plan(grid(), INT16)
    check_memory(plan, None)
    check_memory(plan, plan.memory_bytes)
    refused("no-memory", r"about 0.5 GB of memory and 0.1 GB are free", check_memory, plan, 100_000_000)


def test_the_available_memory_is_plausible():
    free = plans.available_memory()
    assert free is None or 1e6 < free < 1e15


def test_the_estimated_time_is_positive_and_increases_with_work(grid):
    cubic, compact, quality = (
        make_plan(grid(), INT16, SynthesisOptions(method=method), recipe=PRESETS[recipe])
        for method, recipe in (("cubic", "compact"), (THREE_VIEW, "compact"), (THREE_VIEW, "quality"))
    )
    assert 0 < estimate_seconds(cubic) < estimate_seconds(compact)
    assert cubic.work == 0 < compact.work < quality.work
    assert make_plan(grid(), INT16, recipe=PRESETS["published"]).work > quality.work


def test_gantry_tilt_makes_the_slice_distance_smaller_than_the_spacing(make_volume):
    """The thickness is compared with the perpendicular distance: 5 mm slices 5 mm apart along the table overlap."""
    directions = np.eye(3)
    directions[:, 2] = [0, np.sin(np.radians(30)), np.cos(np.radians(30))]
    grid = make_volume(size=(7, 6, 9), directions=directions, thickness=5 * np.cos(np.radians(30))).grid
    assert grid.slice_spacing == pytest.approx(5)
    assert grid.slice_distance == pytest.approx(4.330, abs=1e-3)
    plan = make_plan(grid, np.dtype(np.int16), SynthesisOptions(factor=2))
    assert plan.output_thickness == pytest.approx(4.330 / 2, abs=1e-3)  # contiguous
    assert plan.relative_spacing == pytest.approx(2)
