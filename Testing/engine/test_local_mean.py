"""Local means compared with a direct computation per pixel."""

import pytest
import torch
from CTSliceSynthesisEngine.networks.local_mean import local_mean


@pytest.mark.parametrize("size", [(7, 9), (3, 2), (1, 6), (15, 31)])
@pytest.mark.parametrize("pixels", [1, 3, 5, 11, 13])
def test_each_pixel_gets_the_mean_of_its_cropped_square(size, pixels):
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(1))
    before, means, reach = images.clone(), local_mean(images, pixels), pixels // 2
    for row in range(size[0]):
        for column in range(size[1]):
            rows = slice(max(0, row - reach), row + reach + 1)
            columns = slice(max(0, column - reach), column + reach + 1)
            assert torch.allclose(means[..., row, column], images[..., rows, columns].mean((-2, -1)), atol=1e-6)
    assert torch.equal(images, before)
