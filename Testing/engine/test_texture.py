"""Even texture: matches the grain of the neighbors, preserves edges and means, adds nothing where none is missing."""

import numpy as np
import pytest
import torch
from CTSliceSynthesisEngine.evaluation.metrics import texture
from CTSliceSynthesisEngine.synthesis.texture import gain, grain, match_grain, power

RNG = np.random.default_rng(3)
SIZE = (96, 96)


def noise(count, level=20.0):
    return (40 + RNG.normal(0, level, (count, *SIZE))).astype(np.float32)


def means_of(slices, positions):
    """Return linear interpolation, as a smooth estimate, (G, P, H, W)."""
    low, high = slices[1:-2], slices[2:-1]
    return np.stack([(1 - t) * low + t * high for t in positions], axis=1).astype(np.float32)


@pytest.mark.parametrize("positions", [[0.5], [0.25, 0.5, 0.75]])
def test_new_slices_get_the_noise_of_their_neighbors(positions):
    slices = noise(12)
    smooth = means_of(slices, positions)
    textured = match_grain(smooth, slices, positions)
    factor = len(positions) + 1
    ratios = []
    for new in (smooth, textured):
        stack = np.repeat(slices[1:-1], factor, axis=0)[: (len(new)) * factor + 1].copy()
        for gap, images in enumerate(new):
            stack[gap * factor + 1 : (gap + 1) * factor] = images
        ratios.append(texture(stack, factor))
    assert ratios[0] < 0.8
    assert 0.93 < ratios[1] < 1.05


def test_an_estimate_with_the_noise_of_its_neighbors_is_unchanged():
    slices = noise(5)
    lively = np.stack([slices[1:-2] * 1.05], axis=1)
    assert np.abs(match_grain(lively, slices, [0.5]) - lively).mean() < 1.0


def test_a_noise_free_scene_is_unchanged():
    edge = np.where(np.arange(96)[None, :] < 48, -1000, 60).astype(np.float32) * np.ones(SIZE, np.float32)
    slices = np.stack([edge] * 5)
    new = means_of(slices, [0.5])
    assert np.abs(match_grain(new, slices, [0.5]) - new).max() < 0.01


def test_means_are_preserved():
    slices = noise(6)
    smooth = means_of(slices, [0.5])
    textured = match_grain(smooth, slices, [0.5])
    assert abs(float(textured.mean() - smooth.mean())) < 0.1
    blocks = (textured - smooth).reshape(*smooth.shape[:2], 6, 16, 6, 16).mean(axis=(3, 5))
    assert np.abs(blocks).max() < 2.0  # HU, for 20 HU of noise: only grain is added, no large patches


def test_the_neighbors_are_weighted_by_position():
    slices = noise(4)
    flat = np.full((1, 1, *SIZE), 40, np.float32)
    grains = grain(torch.from_numpy(slices)).numpy()
    near = match_grain(flat, slices, [0.1])[0, 0] - 40
    first, second = (float(np.corrcoef(near.ravel(), grains[n].ravel())[0, 1]) for n in (1, 2))
    assert first > 0.9 > 0.3 > second


def test_the_gain_reaches_the_target_power_and_is_never_negative():
    carried = torch.from_numpy(noise(1) - 40)
    own = torch.zeros_like(carried)
    half = gain(own, carried, power(carried) / 4)
    assert torch.allclose(half, torch.full_like(half, 0.5), atol=1e-3)
    assert float(gain(carried, carried, power(carried) / 4).max()) == 0.0


def test_the_input_is_not_changed():
    slices = noise(5)
    smooth = means_of(slices, [0.5])
    copies = slices.copy(), smooth.copy()
    match_grain(smooth, slices, [0.5])
    assert np.array_equal(slices, copies[0])
    assert np.array_equal(smooth, copies[1])
