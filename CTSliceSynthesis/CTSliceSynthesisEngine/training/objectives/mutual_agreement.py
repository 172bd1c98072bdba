"""The published mutual agreement for networks of a compact recipe: views agree where nobody knows the truth.

    level 1   a   b . x . c   d      x from the four acquired slices around the gap
    level 2       b . y . x   c      y from the view's own x: one slice below b is extrapolated, as at the end of a stack

Both sides learn from both, and gradients of level 2 flow through level 1 (Fang et al., CVPR 2022, section 3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..scans.crops import Crop
from .published_losses import agreement
from .view_answers import Gap, as_gap, axial, planes


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
    given, _ = as_gap(native, device)
    gaps, terms = [given] * 3, {}
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
    for level in range(1, levels + 1):
        coronal, sagittal = (planes(networks, gap)[view] for view, gap in enumerate(gaps[1:]))
        first = axial(networks, gaps[0], *planes(networks, gaps[0]))
        pairs = [agreement(first[inner], other[inner], share) for other in (coronal, sagittal)]
        terms[f"level_{level}"] = torch.stack(pairs).sum()
        gaps = [finer(gap, view) for gap, view in zip(gaps, (first, coronal, sagittal), strict=True)]
    return terms


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
