"""Terms of the published loss (Fang et al., CVPR 2022, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DB3 = (
    0.3326705529509569,
    0.8068915093133388,
    0.4598775021193313,
    -0.13501102001039084,
    -0.08544127388224149,
    0.035226291882100656,
)
"""Low-pass filter of the orthonormal wavelet with three vanishing moments: Daubechies, Ten Lectures on Wavelets, table 6.1."""


def agreement(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the mean of the smallest `share` of the squared differences of two predictions of equal shape; gradients flow to
    both.

    Where two views differ most, at least one is wrong, and pulling them together would spread its error.
    """
    squares = (first - second).square().flatten()
    count = max(1, round(share * squares.numel()))
    return squares.topk(count, largest=False, sorted=False).values.mean()


def detail_loss(first: Tensor, second: Tensor, levels: int = 3) -> Tensor:
    """Return the sum over all detail bands of the mean squared difference; (..., H, W), both multiples of 2^levels."""
    difference = (first - second).reshape(-1, 1, *first.shape[-2:])
    bands = [band for level in wavelet_bands(difference, levels)[1] for band in level]
    return torch.stack([band.square().mean() for band in bands]).sum()


def wavelet_bands(images: Tensor, levels: int) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
    """Compute the DB3 wavelet transform of images with periodic boundaries, which preserves energy.

    Args:
        images: (B, 1, H, W), H and W multiples of 2^levels.
        levels: number of decomposition levels.

    Returns:
        The coarse image, and for each level the details along columns, along rows, and along both; each level has half
        the size of the previous one.

    Raises:
        ValueError: a size that is not a multiple of 2^levels.
    """
    if any(side % 2**levels for side in images.shape[-2:]):
        raise ValueError(f"sides {tuple(images.shape[-2:])} are not multiples of {2**levels}")
    details = []
    for _ in range(levels):
        low, high = (_filter(images, kernel, axis=3) for kernel in _kernels(images))
        (images, along_columns), (along_rows, along_both) = (
            [_filter(half, kernel, axis=2) for kernel in _kernels(images)] for half in (low, high)
        )
        details.append((along_columns, along_rows, along_both))
    return images, details


def _kernels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the low-pass filter, and its high-pass counterpart: reversed, with every other sign changed."""
    low = images.new_tensor(DB3)
    signs = images.new_tensor([1.0, -1.0] * (len(DB3) // 2))
    return low, low.flip(0) * signs


def _filter(images: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Filter images along rows (3) or columns (2), and keep every other value."""
    reach, side = len(kernel) - 1, images.shape[axis]
    wrapped = images.index_select(axis, torch.arange(side + reach, device=images.device) % side)
    shape = (1, 1, 1, -1) if axis == 3 else (1, 1, -1, 1)
    stride = (1, 2) if axis == 3 else (2, 1)
    # In single precision: half precision would round away the fine details.
    with torch.autocast(images.device.type, enabled=False):
        return functional.conv2d(wrapped.float(), kernel.float().reshape(shape), stride=stride)
