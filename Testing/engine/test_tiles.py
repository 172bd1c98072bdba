"""Tiles of a plane and slabs of a stack give the same result as one piece."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.gap_network import condition, cubic_weights
from CTSliceSynthesisEngine.networks.recipes import PRESETS
from CTSliceSynthesisEngine.synthesis import pipeline, predict, views
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.synthesis.predict import GapPredictor, gaps_to_flip
from CTSliceSynthesisEngine.synthesis.tiles import tiles
from CTSliceSynthesisEngine.training.objectives.view_answers import Gap, axial, planes

CPU = torch.device("cpu")
TOLD = (condition(5.0, 0.8, 5.0, 2.5),) * 3


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (33, 50)])
@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (1, 2)])
def test_every_pixel_is_written_once_from_its_own_position(size, patch):
    plane = np.arange(size[0] * size[1]).reshape(size)
    copied, times = np.full(size, -1), np.zeros(size, int)
    for tile in tiles(size, (8, 8), (3, 5), patch):
        copied[tile.target] = plane[tile.source][tile.inner]
        times[tile.target] += 1
    assert np.array_equal(copied, plane)
    assert (times == 1).all()


def test_tiles_start_on_the_patch_and_cover_the_receptive_field():
    for tile in tiles((40, 41), (10, 10), (3, 5), (4, 2)):
        for source, target, edge, reach, patch in zip(tile.source, tile.target, (40, 41), (3, 5), (4, 2), strict=True):
            assert source.start % patch == 0
            assert source.start <= max(0, target.start - reach)
            assert source.stop >= min(edge, target.stop + reach)


def widely_random(recipe):
    """Randomize all weights with large values, so that outputs depend on the whole receptive field."""
    torch.manual_seed(3)
    model = Model.untrained(recipe)
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape) / max(1, parameter[0].numel() ** 0.5))
    return model


@pytest.mark.parametrize(("name", "size"), [("tiny", (53, 47)), ("tiny", (64, 39)), ("compact", (53, 47))])
def test_tiles_equal_one_piece(name, size):
    model = widely_random(PRESETS[name])
    neighbours = torch.rand(4, *size, generator=torch.Generator().manual_seed(1))
    whole, tiled = (GapPredictor(model, TOLD, CPU, torch.float32, tile)(neighbours, [0.5]) for tile in (1024, 27))
    assert whole.shape == (3, 1, 1, *size)
    assert (whole[0] - whole[1]).abs().max() > 0.01  # otherwise the comparison would be trivial
    assert (tiled - whole).abs().max() < 1e-4


def test_the_reach_of_a_network_equals_its_receptive_field():
    """If it were larger than declared, tile borders would be visible."""
    model = widely_random(PRESETS["tiny"])
    for view, shape in (("axial", PRESETS["tiny"].axial), ("through_plane", PRESETS["tiny"].through_plane)):
        image = torch.rand(1, 4 if view == "through_plane" else 6, 64, 64)
        changed = image.clone()
        changed[..., 32, 32] += 1
        with torch.no_grad():
            told, at = torch.tensor([TOLD[0] if view == "through_plane" else [*TOLD[0], 0.0, 1.0]]), torch.tensor([0.5])
            felt = (model.networks[view](changed, at, told) != model.networks[view](image, at, told))[0].nonzero()
        distance = (felt - 32).abs().amax(dim=0)
        assert (distance <= torch.tensor(shape.reach)).all()
        assert distance.max() > 2


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("gaps", [1, 4])
def test_slabs_equal_one_piece(make_scan, tiny_model, monkeypatch, factor, gaps):
    """The order of summation differs, so that a voxel at half a HU may be rounded differently."""
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)  # on any machine
    scan = make_scan()
    asked = SynthesisOptions(factor=factor, outputs=("disagreement",))
    plan = make_plan(scan.grid, scan.voxels.dtype, asked, recipe=tiny_model.recipe)
    monkeypatch.setattr(pipeline, "_MIN_SLABS", 1)
    whole = pipeline.synthesize(scan, plan, tiny_model)
    monkeypatch.setattr(pipeline, "_SLAB_VOXELS", gaps * (factor - 1) * 24 * 20)
    slabs = pipeline.synthesize(scan, plan, tiny_model)
    for pieces, piece in ((slabs.volume, whole.volume), (slabs.outputs["disagreement"], whole.outputs["disagreement"])):
        difference = np.abs(pieces.voxels.astype(int) - piece.voxels)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_a_view_of_the_whole_stack_equals_the_view_of_each_gap(make_scan, tiny_model):
    """The sagittal prediction is the coronal one of the stack with rows and columns swapped."""
    neighbours = torch.rand(4, 20, 26, generator=torch.Generator().manual_seed(2))
    answer = GapPredictor(tiny_model, TOLD, CPU, torch.float32)
    here, turned = answer(neighbours, [0.25, 0.5]), answer(views.swap_rows_columns(neighbours), [0.25, 0.5])
    assert torch.allclose(here[2], views.swap_rows_columns(turned[1]), atol=1e-6)
    assert torch.allclose(here[1], views.swap_rows_columns(turned[2]), atol=1e-6)
    assert not torch.allclose(here[1], here[2], atol=1e-4)


@pytest.mark.parametrize("told", [condition(5.0, 0.8, 5.0, 2.5), condition(2.0, 0.6, None, None)])
def test_folding_the_condition_into_biases_changes_nothing(told):
    """Inference gives the same as the network used in training, applied gap by gap."""
    model = widely_random(PRESETS["compact"])
    slices = torch.rand(6, 24, 30, generator=torch.Generator().manual_seed(5))
    answer = GapPredictor(model, (told,) * 3, CPU, torch.float32)(slices, [0.25, 0.5])
    for gap in range(3):
        over = gaps_to_flip(slices)[gap]
        four = slices[gap : gap + 4].flip(0) if over else slices[gap : gap + 4]
        for p, position in enumerate((0.25, 0.5)):
            asked = Gap(four[None], torch.tensor([1 - position if over else position]), torch.tensor([told]))
            with torch.no_grad():
                coronal, sagittal = planes(model.networks, asked)
                expected = axial(model.networks, asked, coronal, sagittal), coronal, sagittal
                cubic = (four * cubic_weights(asked.position)[0, :, None, None]).sum(0)
            for view, image in enumerate(expected):
                assert torch.allclose(answer[view, gap, p], image[0], atol=1e-5)
                assert (image - cubic).abs().max() > 0.01
                assert (image - expected[view - 1]).abs().max() > 0.01


@pytest.mark.parametrize("name", ["tiny", "quality"])
@pytest.mark.parametrize("positions", [[0.5], [1 / 3, 2 / 3], [0.0, 0.25, 0.75]])
def test_a_flipped_stack_gives_the_flipped_slices(name, positions):
    model = widely_random(PRESETS[name])
    answer = GapPredictor(model, TOLD, CPU, torch.float32)
    slices = torch.rand(9, 20, 26, generator=torch.Generator().manual_seed(5))
    over = answer(slices.flip(0), [1 - t for t in reversed(positions)])
    assert torch.equal(over.flip(1, 2), answer(slices, positions))
    assert {*gaps_to_flip(slices)} == {True, False}  # otherwise the test would be trivial
