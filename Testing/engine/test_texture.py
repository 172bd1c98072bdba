"""Even texture: as grainy as the neighbours, edges and means left alone, nothing where nothing is missing."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.evaluation.metrics import texture
from CTSliceSynthesisEngine.synthesis.texture import even, gain, grain, power

RNG = np.random.default_rng(3)
SIZE = (96, 96)


def noise(count, level=20.0):
    return (40 + RNG.normal(0, level, (count, *SIZE))).astype(np.float32)


def means_of(slices, positions):
    """What a smooth method gives: linear interpolation, (G, P, H, W)."""
    low, high = slices[1:-2], slices[2:-1]
    return np.stack([(1 - t) * low + t * high for t in positions], axis=1).astype(np.float32)


@pytest.mark.parametrize("positions", [[0.5], [0.25, 0.5, 0.75]])
def test_new_slices_get_the_noise_of_their_neighbours(positions):
    slices = noise(12)
    smooth = means_of(slices, positions)
    evened = even(smooth, slices, positions)
    factor = len(positions) + 1
    ratios = []
    for new in (smooth, evened):
        stack = np.repeat(slices[1:-1], factor, axis=0)[: (len(new)) * factor + 1].copy()
        for gap, images in enumerate(new):
            stack[gap * factor + 1 : (gap + 1) * factor] = images
        ratios.append(texture(stack, factor))
    assert ratios[0] < 0.8
    assert 0.93 < ratios[1] < 1.05


def test_an_estimate_as_lively_as_its_neighbours_is_left_alone():
    slices = noise(5)
    lively = np.stack([slices[1:-2] * 1.05], axis=1)
    assert np.abs(even(lively, slices, [0.5]) - lively).mean() < 1.0


def test_a_still_scene_without_noise_stays_as_it_is():
    edge = np.where(np.arange(96)[None, :] < 48, -1000, 60).astype(np.float32) * np.ones(SIZE, np.float32)
    slices = np.stack([edge] * 5)
    new = means_of(slices, [0.5])
    assert np.abs(even(new, slices, [0.5]) - new).max() < 0.01


def test_means_stay():
    slices = noise(6)
    smooth = means_of(slices, [0.5])
    evened = even(smooth, slices, [0.5])
    assert abs(float(evened.mean() - smooth.mean())) < 0.1
    blocks = (evened - smooth).reshape(*smooth.shape[:2], 6, 16, 6, 16).mean(axis=(3, 5))
    assert np.abs(blocks).max() < 2.0  # HU, of 20 HU of noise: what is added is grain, and no large patch


def test_the_neighbours_weigh_by_where_the_slice_lies():
    slices = noise(4)
    flat = np.full((1, 1, *SIZE), 40, np.float32)
    grains = grain(torch.from_numpy(slices)).numpy()
    near = even(flat, slices, [0.1])[0, 0] - 40
    first, second = (float(np.corrcoef(near.ravel(), grains[n].ravel())[0, 1]) for n in (1, 2))
    assert first > 0.9 > 0.3 > second


def test_the_gain_fills_up_to_the_wanted_power_and_never_takes_away():
    carried = torch.from_numpy(noise(1) - 40)
    own = torch.zeros_like(carried)
    half = gain(own, carried, power(carried) / 4)
    assert torch.allclose(half, torch.full_like(half, 0.5), atol=1e-3)
    assert float(gain(carried, carried, power(carried) / 4).max()) == 0.0


def test_what_was_lent_is_not_changed():
    slices = noise(5)
    smooth = means_of(slices, [0.5])
    copies = slices.copy(), smooth.copy()
    even(smooth, slices, [0.5])
    assert np.array_equal(slices, copies[0])
    assert np.array_equal(smooth, copies[1])
