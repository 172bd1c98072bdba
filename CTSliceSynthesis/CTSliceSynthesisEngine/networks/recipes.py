"""Recipes: which networks a model is made of, and how large they are. Weights travel with their recipe.

Torch-free: a panel reads sizes, names and work before PyTorch is installed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

NEIGHBORS = 4
"""Input slices per gap of the compact recipe: two below, two above."""

AXIAL_READS = NEIGHBORS + 2
"""Input images of an axial network that runs last: the slices, and channels from the coronal and sagittal predictions."""

TOUCHING = 0.9
"""Ratio of thickness to spacing from which slices count as contiguous, so that new slices are made thinner."""


_LARGEST = 128  # limit for blocks and patch pixels (and 8 times for channels); files that exceed it are damaged


@dataclass(frozen=True)
class GapShape:
    """Size of a gap network.

    Attributes:
        channels: features of every hidden layer.
        blocks: residual blocks of two convolutions.
        patch: pixels (rows, columns) folded into channels before the first convolution.
        kernel: (rows, columns) of every convolution; (1, n) acts along rows only.
    """

    channels: int
    blocks: int
    patch: tuple[int, int]
    kernel: tuple[int, int]

    @property
    def reach(self) -> tuple[int, int]:
        """Receptive field radius in pixels (rows, columns); also the halo of a tile."""
        layers = 2 * self.blocks + 2
        rows, columns = ((k // 2) * layers * p + p for k, p in zip(self.kernel, self.patch, strict=True))
        return (0 if self.kernel[0] == 1 else rows), (0 if self.kernel[1] == 1 else columns)

    def trunk_work(self, images: int = NEIGHBORS) -> float:
        """Return the multiplications per pixel of a gap, for this number of input images."""
        taps, folded = self.kernel[0] * self.kernel[1], self.patch[0] * self.patch[1]
        return taps * self.channels * (images * folded + 2 * self.blocks * self.channels) / folded

    @property
    def head_work(self) -> float:
        """Multiplications per pixel of a new slice."""
        return self.kernel[0] * self.kernel[1] * self.channels


@dataclass(frozen=True)
class CompactRecipe:
    """Position-conditioned networks: one set of weights for all factors.

    Attributes:
        name: of the preset.
        axial: size of the axial network.
        through_plane: size of the network shared by the coronal and sagittal views, given for the coronal view.
        axial_last: the axial network reads the other two predictions of a new slice and corrects their mean; otherwise it
            predicts from the slices only, as in models of version 0.1.
    """

    architecture: ClassVar[str] = "compact"
    name: str
    axial: GapShape
    through_plane: GapShape
    axial_last: bool = True

    def supports(self, factor: float) -> bool:
        """Return True for every factor, integer or fractional: the position between two slices is an input."""
        return factor > 1

    def work(self, new_slices: float) -> float:
        """Return the multiplications per pixel of a gap with this number of new slices."""
        planes = 2 * (self.through_plane.trunk_work() + new_slices * self.through_plane.head_work)
        if self.axial_last:  # once for every new slice
            return planes + new_slices * (self.axial.trunk_work(AXIAL_READS) + self.axial.head_work)
        return planes + self.axial.trunk_work() + new_slices * self.axial.head_work


@dataclass(frozen=True)
class PublishedRecipe:
    """The networks of the paper (Fang et al., CVPR 2022): one pair per factor.

    Attributes:
        name: of the preset.
        factor: r.
        axial_groups, axial_blocks, axial_reduction, memory_items, patch: see `SliceInterpolator`.
        plane_groups, plane_blocks, plane_features, plane_reduction: see `PlaneUpscaler`.
    """

    architecture: ClassVar[str] = "published"
    name: str
    factor: int = 2
    axial_groups: int = 3
    axial_blocks: int = 12
    axial_reduction: int = 16
    memory_items: int = 10
    patch: int = 8
    plane_groups: int = 5
    plane_blocks: int = 8
    plane_features: int = 32
    plane_reduction: int = 4

    def supports(self, factor: float) -> bool:
        """Return True only for its own factor."""
        return factor == self.factor


Recipe = CompactRecipe | PublishedRecipe

PRESETS: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Small patches and narrow layers: larger patches with wider layers train more slowly at equal work.
        CompactRecipe("compact", axial=GapShape(16, 4, (2, 2), (3, 3)), through_plane=GapShape(32, 4, (1, 2), (1, 3))),
        CompactRecipe("quality", axial=GapShape(32, 4, (2, 2), (3, 3)), through_plane=GapShape(48, 6, (1, 2), (1, 3))),
        CompactRecipe("tiny", axial=GapShape(8, 1, (2, 2), (3, 3)), through_plane=GapShape(8, 1, (1, 2), (1, 3))),
        PublishedRecipe("published"),
        PublishedRecipe(
            "published-narrow",
            axial_groups=1,
            axial_blocks=1,
            axial_reduction=4,
            memory_items=4,
            patch=2,
            plane_groups=2,
            plane_blocks=1,
            plane_features=4,
            plane_reduction=2,
        ),
    )
}
"""Presets. `compact` is the default, `quality` takes about three and a half times its work, `published` is the paper's;
`tiny` and `published-narrow` are for tests."""


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Convert the recipe to plain values for a checkpoint."""
    return {"architecture": recipe.architecture, **asdict(recipe)}


def from_dict(values: dict[str, Any]) -> Recipe:
    """Restore the recipe from `to_dict`.

    Raises:
        ValueError: an unknown architecture or field.
    """
    values = dict(values)
    architecture = values.pop("architecture", None)
    if architecture == CompactRecipe.architecture:
        for view in {"axial", "through_plane"} & set(values):
            values[view] = _gap_shape(values[view])
        values.setdefault("axial_last", False)  # missing in files of version 0.1
    kinds = {kind.architecture: kind for kind in (CompactRecipe, PublishedRecipe)}
    if architecture not in kinds:
        raise ValueError(f"unknown architecture {architecture!r}")
    kind = kinds[architecture]
    if set(values) != {field.name for field in fields(kind)}:
        raise ValueError(f"the fields {sorted(values)} are not those of a {architecture} recipe")
    numbers = [values[field.name] for field in fields(kind) if field.type == "int"]
    if any(type(value) is not int or not 0 < value <= 8 * _LARGEST for value in numbers):
        raise ValueError(f"the sizes {numbers} of a {architecture} recipe are implausible")
    if any(type(values[field.name]) is not bool for field in fields(kind) if field.type == "bool"):
        raise ValueError(f"a {architecture} recipe has flags that are not true or false")
    return kind(**values)


def _gap_shape(values: dict[str, Any]) -> GapShape:
    patch, kernel = (tuple(int(n) for n in values[key]) for key in ("patch", "kernel"))
    if len(patch) != 2 or len(kernel) != 2 or any(k % 2 == 0 for k in kernel):
        raise ValueError(f"patch {patch} and kernel {kernel} must be pairs, the kernel of odd numbers")
    channels, blocks = int(values["channels"]), int(values["blocks"])
    if max(channels // 8, blocks, *patch, *kernel) > _LARGEST:
        raise ValueError(f"channels {channels}, blocks {blocks}, patch {patch} and kernel {kernel} are implausible")
    if min(channels, blocks, *patch, *kernel) < 1:
        raise ValueError(f"channels {channels}, blocks {blocks}, patch {patch} and kernel {kernel} must be 1 or more")
    return GapShape(channels, blocks, patch, kernel)
