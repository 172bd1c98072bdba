"""The published mutual agreement for networks of a compact recipe: views agree where nobody knows the truth.

    level 1   a   b . x . c   d      x from the four acquired slices around the gap
    level 2       b . y . x   c      y from the view's own x: one slice below b is extrapolated, as at the end of a stack

Both sides learn from both, and gradients of level 2 flow through level 1 (Fang et al., CVPR 2022, section 3.3).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..networks.gap_network import cubic_weights
from .crops import Crop
from .losses import agreement


class Gap(NamedTuple):
    """A batch of gaps as tensors; see `crops.Crop` for shapes."""

    neighbours: Tensor
    position: Tensor
    conditions: Tensor


def mutual_losses(
    networks: nn.ModuleDict, native: Crop, share: float, levels: int, margin: int, device: torch.device
) -> dict[str, Tensor]:
    """What the axial view and each of the others differ by where they differ least: "level_1", perhaps "level_2".

    Args:
        networks: "axial" and "through_plane" of a compact recipe.
        native: gaps of scans as they are.
        share: gamma, see `losses.agreement`.
        levels: 1 or 2.
        margin: pixels at the rim that are not scored.
        device: where to compute.
    """
    given = Gap(
        *(torch.from_numpy(part).to(device) for part in (native.neighbours, native.position, native.conditions))
    )
    gaps, terms = [given] * 3, {}
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
    for level in range(1, levels + 1):
        axial = new_slices(networks["axial"], gaps[0])
        coronal = new_slices(networks["through_plane"], gaps[1])
        sagittal = new_slices(networks["through_plane"], _turned(gaps[2])).transpose(1, 2)
        pairs = [agreement(axial[inner], other[inner], share) for other in (coronal, sagittal)]
        terms[f"level_{level}"] = torch.stack(pairs).sum()
        gaps = [finer(gap, view) for gap, view in zip(gaps, (axial, coronal, sagittal), strict=True)]
    return terms


def new_slices(network: nn.Module, gap: Gap) -> Tensor:
    """The network's answer to a batch of gaps, (B, h, w) unit range."""
    cubic = torch.einsum("bnhw,bn->bhw", gap.neighbours, cubic_weights(gap.position))
    return cubic + network(gap.neighbours, gap.position, gap.conditions).float()


def finer(gap: Gap, new: Tensor) -> Gap:
    """The gap between the slice below and the new slice, to be filled in its middle.

    Args:
        gap: b and c are its middle slices.
        new: x, (B, h, w), at the gap's position.

    Returns:
        Neighbours 2b - x, b, x, c, as if evenly spaced; the spacing is that from b to x, the thickness stays.
    """
    below, above = gap.neighbours[:, 1], gap.neighbours[:, 2]
    neighbours = torch.stack([2 * below - new, below, new, above], dim=1)
    spacing, pixel, thickness, output, known = gap.conditions.unbind(dim=1)
    widths = [torch.where(known > 0, width / gap.position, width) for width in (thickness, output)]
    conditions = torch.stack([spacing + gap.position.log2(), pixel, *widths, known], dim=1)
    return Gap(neighbours, torch.full_like(gap.position, 0.5), conditions)


def _turned(gap: Gap) -> Gap:
    return gap._replace(neighbours=gap.neighbours.transpose(2, 3))
