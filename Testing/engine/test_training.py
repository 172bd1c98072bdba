"""Learning from thick scans: crops with true answers, the losses, the loop that goes on, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.errors import REASONS, SynthesisError
from CTSliceSynthesisEngine.jobs.commands import main
from CTSliceSynthesisEngine.networks.checkpoint import Model, load
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.training.cohort import MIN_PIXELS, TrainingScan, load_cohort, read_sources
from CTSliceSynthesisEngine.training.crops import CropSettings, draw_batch, draw_native_batch
from CTSliceSynthesisEngine.training.distillation import StepSettings, charbonnier, draw, losses
from CTSliceSynthesisEngine.training.loop import LoopSettings, State
from CTSliceSynthesisEngine.training.run import fit_fusion, train_cohort
from CTSliceSynthesisEngine.volume import files

HU = 1 / 4096  # in the unit range
GAPS = CropSettings(anchor_share=0, slab_share=0, known_share=1, half_share=0)
CPU = torch.device("cpu")


def scan_of(slope_z=0.0, slope_row=0.0, slices=12, **options):
    """A scan whose HU rise by `slope_z` from slice to slice and by `slope_row` from row to row."""
    z, row = np.arange(slices)[:, None, None], np.arange(MIN_PIXELS)[None, :, None]
    hu = np.broadcast_to(slope_z * z + slope_row * row - 500, (slices, MIN_PIXELS, MIN_PIXELS))
    fields = {"slice_spacing": 2.0, "pixel_spacing": 0.8, "thickness": 1.5} | options
    return TrainingScan("ramp", np.ascontiguousarray(hu.astype(np.int16)), **fields)


def between(crop):
    """The straight line between the two middle slices at the target's position."""
    at = crop.position[:, None, None]
    return (1 - at) * crop.neighbours[:, 1] + at * crop.neighbours[:, 2]


def test_dense_crops_of_a_ramp_have_targets_on_the_ramp():
    crop = draw_batch(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, 60, (8, 20), anchor=False)
    assert crop.neighbours.shape == (60, 4, 8, 20)
    assert crop.target.shape == (60, 8, 20)
    assert {part.dtype for part in crop} == {np.dtype(np.float32)}
    assert np.allclose(crop.target, between(crop), atol=0.01 * HU)
    steps = np.diff(crop.neighbours, axis=1)
    assert np.allclose(steps, steps[:, :1], atol=0.01 * HU)  # evenly spaced, extrapolated at the ends


def test_averaged_slices_keep_a_ramp_too_away_from_the_ends():
    settings = replace(GAPS, slab_share=1.0)
    crop = draw_batch(np.random.default_rng(0), [scan_of(slope_z=40, slices=40)], settings, 60, (8, 20), anchor=False)
    steps = np.diff(crop.neighbours, axis=1)
    inside = np.abs(steps - steps[:, :1]).max(axis=(1, 2, 3)) < 0.01 * HU
    assert inside.sum() > 20
    assert np.allclose(crop.target[inside], between(crop)[inside], atol=0.01 * HU)


@pytest.mark.parametrize("slab", [0.0, 1.0])
def test_dense_crops_are_told_what_they_are_made_of(slab):
    settings = replace(GAPS, slab_share=slab)
    crop = draw_batch(np.random.default_rng(1), [scan_of(slope_z=40)], settings, 60, (8, 20), anchor=False)
    spacing = 2.5 * 2 ** crop.conditions[:, 0]
    factor = spacing / 2.0
    assert np.allclose(factor, np.rint(factor), atol=1e-4)
    assert {2, 3} <= set(np.rint(factor).astype(int)) <= {2, 3, 4, 5, 6}  # 12 mm apart at most
    assert np.allclose(crop.position * factor, np.rint(crop.position * factor), atol=1e-4)
    assert np.allclose(2 ** crop.conditions[:, 1] * 0.75, 0.8)
    assert np.allclose(crop.conditions[:, 2], 1.0 if slab else 1.5 / spacing)
    assert np.allclose(crop.conditions[:, 3], 1.5 / spacing)
    assert (crop.conditions[:, 4] == 1).all()


def test_a_thickness_that_is_not_told_reads_as_unknown():
    settings = replace(GAPS, known_share=0)
    crop = draw_batch(np.random.default_rng(1), [scan_of(slope_z=40)], settings, 10, (8, 20), anchor=False)
    assert (crop.conditions[:, 2:] == [1, 1, 0]).all()


def test_in_plane_crops_answer_a_constant_with_it_and_a_ramp_with_the_ramp():
    """The rows' ramp runs along the crop's slice axis, or across it, as rows and columns are exchanged at random."""
    settings = replace(GAPS, anchor_share=1.0, known_share=0.5)
    slope = 4
    crop = draw_batch(np.random.default_rng(2), [scan_of(slope_row=slope)], settings, 80, (8, 20), anchor=True)
    steps = np.diff(crop.neighbours, axis=1)
    spacing = 2.5 * 2 ** crop.conditions[:, 0, None, None, None]
    along = np.abs(steps).max(axis=(1, 2, 3)) > HU
    assert 20 < along.sum() < 60
    assert np.abs(steps[~along]).max() < 0.01 * HU
    assert np.allclose(crop.target[~along], crop.neighbours[~along, 1], atol=0.01 * HU)
    # Pixels are stairs on the ramp: a mean that ends within one is off by less than a step.
    assert np.abs(crop.target - between(crop))[along].max() < slope * HU
    assert np.abs(np.abs(steps) - slope * spacing / 0.8 * HU)[along].max() < slope * HU


def test_native_gaps_have_no_target_and_the_scan_s_own_conditions():
    crop = draw_native_batch(np.random.default_rng(3), [scan_of(slope_z=40)], GAPS, 30, (16, 20))
    assert np.isnan(crop.target).all()
    assert np.allclose(np.diff(crop.neighbours, axis=1), 40 * HU, atol=0.01 * HU)
    assert ((crop.position > 0) & (crop.position < 1)).all()
    assert np.allclose(2.5 * 2 ** crop.conditions[:, 0], 2.0)
    assert np.allclose(crop.conditions[:, 2:], [0.75, 0.75, 1])


def test_a_seed_draws_the_same_crops_again():
    scans = [scan_of(slope_z=40), scan_of(slope_row=4)]
    first, again, other = (
        draw_batch(np.random.default_rng(seed), scans, CropSettings(), 20, (8, 20), anchor=True) for seed in (7, 7, 8)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.neighbours, other.neighbours)


def test_the_half_size_copy_is_the_mean_of_four_pixels():
    scan = scan_of(slope_z=40, slope_row=4)
    assert scan.half.voxels.shape == (12, MIN_PIXELS // 2, MIN_PIXELS // 2)
    assert np.array_equal(scan.half.voxels, scan.voxels[:, ::2, ::2] + 2)
    assert (scan.half.pixel_spacing, scan.half.slice_spacing) == (1.6, 2.0)


def test_the_loss_is_squared_for_small_errors_and_absolute_for_large_ones():
    assert charbonnier(torch.zeros(3), 0.01) == 0
    assert charbonnier(torch.tensor([1e-4]), 0.01).item() == pytest.approx(1e-8 / 0.02, rel=1e-2)
    assert charbonnier(torch.tensor([1.0]), 0.01).item() == pytest.approx(0.99, rel=1e-3)


SMALL_STEPS = StepSettings(through_plane_crops=8, axial_crops=3, native_crops=2, axial_size=(32, 32))


def test_untrained_networks_agree_and_know_a_ramp(randomize):
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, SMALL_STEPS)
    torch.manual_seed(0)
    model = Model.untrained(PRESETS["tiny"])
    assert all(term.item() < HU for term in losses(model.networks, batch, SMALL_STEPS, CPU).values())
    terms = losses(randomize(model).networks, batch, SMALL_STEPS, CPU)
    assert set(terms) == {"through_plane", "axial", "teaching"}
    assert all(term.item() > HU for term in terms.values())


def test_only_the_axial_network_is_taught_by_the_other_views(tiny_model):
    """A teacher that followed its pupil would agree with it on the same mistake."""
    batch = draw(np.random.default_rng(0), [scan_of(slope_z=40)], GAPS, SMALL_STEPS)
    tiny_model.networks.zero_grad()
    losses(tiny_model.networks, batch, SMALL_STEPS, CPU)["teaching"].backward()
    assert all(p.grad is None for p in tiny_model.networks["through_plane"].parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in tiny_model.networks["axial"].parameters())
    tiny_model.networks.zero_grad()


def test_the_fusion_trusts_the_view_that_is_right(randomize):
    torch.manual_seed(0)
    model = Model.untrained(PRESETS["tiny"])
    randomize(model)
    torch.nn.init.zeros_(model.networks["axial"].last.weight)
    torch.nn.init.zeros_(model.networks["axial"].last.bias)  # answers with cubic, which is exact on a ramp
    weights = fit_fusion(model, [scan_of(slope_z=40, slices=30)], seed=0, crops=20)
    assert weights == (pytest.approx(1, abs=0.02), pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.01))


# The whole training, on two small scans


def slanted(seed, slices=9):
    """Slabs of tissue with slanted edges: what lies between two slices can be told from their planes."""
    z, row, column = np.indices((slices, MIN_PIXELS, MIN_PIXELS))
    angle = 1.5 + seed
    hu = 400 * np.sign(np.sin((row + angle * 4 * z) / 15)) + 300 * np.sign(np.sin((column - angle * 3 * z) / 11))
    return (hu - 100 + np.random.default_rng(seed).normal(0, 10, hu.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    from CTSliceSynthesisEngine.volume.grid import Grid
    from CTSliceSynthesisEngine.volume.volume import Volume

    for name, seed in (("first", 0), ("second", 1)):
        voxels = slanted(seed)
        grid = Grid(voxels.shape[::-1], np.diag([0.8, 0.8, 2.5, 1.0]), 2, 2.5)
        files.write(Volume(voxels, grid), folder / f"{name}.nrrd")
    (folder / "sources.csv").write_text(
        "scan,thickness_mm,source,licence\nfirst,2.0,a phantom,CC0\nsecond,2.5,a phantom,CC0\n"
    )
    return folder


SETTINGS = LoopSettings(minutes=0.05, warm_up_steps=5, watch_every=1, step=SMALL_STEPS)


def test_a_training_goes_on_after_an_interruption_and_makes_a_model(cohort, tmp_path):
    out, seen, said = tmp_path / "model.pt", [], []

    def interrupt(figures):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cohort(cohort, out, SETTINGS, preset="tiny", watch=interrupt)
    assert not out.exists()
    assert torch.load(f"{out}.state", weights_only=True)["steps"] == 1

    sources = read_sources(cohort / "sources.csv")
    train_cohort(cohort, out, SETTINGS, preset="tiny", sources=sources, watch=seen.append, say=said.append)
    assert seen[0]["step"] == 2
    assert [figures["step"] for figures in seen] == sorted(figures["step"] for figures in seen)
    assert {"through_plane_hu", "axial_hu", "teaching_hu", "share", "step"} == set(seen[0])
    state = torch.load(f"{out}.state", weights_only=True)
    assert state["steps"] == seen[-1]["step"] > 1
    assert state["seconds"] >= 3
    assert sum("slices every" in sentence for sentence in said) == 2

    model = load(out)
    assert model.recipe == PRESETS["tiny"]
    assert sum(model.fusion) == pytest.approx(1)
    assert all(model.networks[view].last.weight.abs().max() > 0 for view in ("axial", "through_plane"))
    assert model.card["training"]["steps"] == state["steps"]
    assert [(row["scan"], row["thickness_mm"], row["licence"]) for row in model.card["data"]] == [
        ("first", 2.0, "CC0"), ("second", 2.5, "CC0"),
    ]  # fmt: skip
    assert model.card["parameters"] == {
        view: sum(p.numel() for p in network.parameters()) for view, network in model.networks.items()
    }


def test_a_training_can_start_from_a_model_and_leave_out_scans(cohort, tmp_path, tiny_weights):
    settings = replace(SETTINGS, minutes=0.001)
    model = train_cohort(cohort, tmp_path / "on.pt", settings, start=str(tiny_weights), leave_out=("second",))
    assert [row["scan"] for row in model.card["data"]] == ["first"]
    assert model.recipe == PRESETS["tiny"]


def test_a_state_of_other_networks_or_a_damaged_one_is_refused(tmp_path):
    other = Model.untrained(PRESETS["compact"]).networks
    State(other, torch.optim.Adam(other.parameters())).save(tmp_path / "other.state")
    (tmp_path / "damaged.state").write_bytes(b"no state")
    networks = Model.untrained(PRESETS["tiny"]).networks
    for name in ("other.state", "damaged.state"):
        with pytest.raises(SynthesisError, match="remove it to start anew") as caught:
            State(networks, torch.optim.Adam(networks.parameters())).load(tmp_path / name)
        assert caught.value.reason == "bad-model"


def test_the_thickness_is_that_of_the_sources_the_file_or_the_spacing(cohort):
    known = load_cohort(cohort, read_sources(cohort / "sources.csv"))
    assert [scan.thickness for scan in known] == [2.0, 2.5]
    assert [scan.thickness for scan in load_cohort(cohort, {})] == [2.5, 2.5]
    assert [scan.name for scan in load_cohort(cohort, {}, ("first",))] == ["second"]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """`ctslices train` with these arguments: the one sentence with which it refuses."""
    monkeypatch.chdir(tmp_path)

    def run(reason, *arguments):
        status = main(["train", *map(str, arguments), *([] if "--minutes" in arguments else ["--minutes", "0.001"])])
        out, err = capsys.readouterr()
        assert status == REASONS[reason], err
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("ctslices: ")
        assert lines[0].endswith(".")
        assert out == ""
        assert not [path for path in tmp_path.rglob("*.pt*") if path.is_file() and path.name != "odd.pt"]
        return lines[0]

    return run


def test_folders_without_scans_to_learn_from_are_refused(tmp_path, make_scan, refused):
    assert "cannot be read" in refused("bad-input", "none", "--out", "model.pt")
    (tmp_path / "empty").mkdir()
    assert "holds 0 scans" in refused("bad-input", "empty", "--out", "model.pt")
    files.write(make_scan(), tmp_path / "empty" / "small.nrrd")
    assert "holds 1 scans and none with at least 8 slices" in refused("bad-input", "empty", "--out", "model.pt")
    (tmp_path / "empty" / "cut.nrrd").write_bytes(b"NRRD0004\n")
    assert "cut.nrrd" in refused("bad-input", "empty", "--out", "model.pt")


@pytest.mark.parametrize(
    ("reason", "options", "word"),
    [
        ("bad-input", ("--holdout", "third"), "third"),
        ("bad-input", ("--sources", "none.csv"), "none.csv cannot be read"),
        ("bad-option", ("--preset", "published"), "compact, quality, tiny"),
        ("bad-option", ("--minutes", "0"), "more than 0 minutes"),
        ("bad-option", ("--minutes", "nan"), "more than 0 minutes"),
        ("bad-model", ("--from", "none.pt"), "cannot be read"),
        ("cannot-write", ("--out", "none/model.pt"), "does not exist"),
    ],
)
def test_options_that_cannot_be_are_refused_before_the_training(cohort, refused, reason, options, word):
    assert word in refused(reason, cohort, "--out", "model.pt", *options)


@pytest.mark.parametrize("text", ["", "scan,source\nfirst,x\n", "scan,thickness_mm,source,licence\nfirst,thin,x,y\n"])
def test_a_list_of_sources_with_other_columns_is_refused(tmp_path, cohort, refused, text):
    (tmp_path / "sources.csv").write_text(text)
    sentence = refused("bad-input", cohort, "--out", "model.pt", "--sources", tmp_path / "sources.csv")
    assert "columns scan, thickness_mm, source and licence" in sentence


def test_networks_of_one_factor_are_not_trained_here(tmp_path, cohort, refused):
    from CTSliceSynthesisEngine.networks.checkpoint import save

    save(Model.untrained(PRESETS["published-narrow"]), tmp_path / "odd.pt")
    assert "compact" in refused("bad-model", cohort, "--out", "model.pt", "--from", "odd.pt")
