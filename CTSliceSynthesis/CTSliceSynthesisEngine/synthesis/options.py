"""Options of a run, from which a `Plan` is made. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SynthesisError
from ..networks.recipes import CompactRecipe, Recipe
from .classical import LEAST_SLICES
from .outputs import OUTPUTS

FACTORS = range(2, 9)
"""Allowed integer upsampling factors."""

THREE_VIEW = "three-view"
METHODS = (THREE_VIEW, *LEAST_SLICES)

ESTIMATE, EVEN = TEXTURES = ("estimate", "even")
"""The best estimate, or the estimate with the noise texture of the acquired slices, for reading; see `texture`."""

AUTO, FLOAT32, BFLOAT16 = PRECISIONS = ("auto", "float32", "bfloat16")
"""Precision of the networks: the fastest for the CPU or GPU, or one of two fixed types; see `devices`."""

KEEP, THIN = ACQUIRED = ("keep", "thin")
"""Keep the acquired slices, or replace them by slices as thin as the synthesized ones; see `acquired_slices`."""


@dataclass(frozen=True)
class SynthesisOptions:
    """Options of a run.

    Attributes:
        factor: upsampling factor, one of FACTORS; or
        spacing: approximate slice spacing, mm; or
        isotropic: approximate the in-plane pixel spacing. If none of the three is given, the factor is 2.
        exact: with `spacing` or `isotropic`: use exactly this spacing; only acquired slices that coincide are kept.
        method: one of METHODS.
        acquired: one of ACQUIRED: how acquired slices are treated.
        texture: one of TEXTURES; EVEN for "three-view" only.
        outputs: names of additional OUTPUTS; for "three-view" only.
        precision: one of PRECISIONS.
        accept_isotropic: run even if the scan is already isotropic.
    """

    factor: int | None = None
    spacing: float | None = None
    isotropic: bool = False
    exact: bool = False
    method: str = THREE_VIEW
    acquired: str = KEEP
    texture: str = ESTIMATE
    outputs: tuple[str, ...] = ()
    precision: str = AUTO
    accept_isotropic: bool = False

    def problems(self, recipe: Recipe) -> list[str]:
        """Return the reasons why these options are invalid for a model of this recipe; empty if they are valid."""
        problems = [
            f"{name} is one of {', '.join(choices)}, not {value!r}."
            for name, value, choices in (
                ("The method", self.method, METHODS),
                ("The treatment of acquired slices", self.acquired, ACQUIRED),
                ("The texture", self.texture, TEXTURES),
                ("The precision", self.precision, PRECISIONS),
                *(("An additional output", name, tuple(OUTPUTS)) for name in self.outputs),
            )
            if value not in choices
        ]
        if self.acquired == THIN and (self.method != THREE_VIEW or not isinstance(recipe, CompactRecipe)):
            problems.append("Thinning acquired slices requires three-view with a compact model: choose these, or keep.")
        if self.method != THREE_VIEW:
            limitations = [OUTPUTS[name].limitation for name in self.outputs if name in OUTPUTS]
            limitations += ["has no even texture"] * (self.texture == EVEN)
            problems += [f"{self.method} {limitation}: choose {THREE_VIEW}." for limitation in limitations]
        if sum((self.factor is not None, self.spacing is not None, self.isotropic)) > 1:
            problems.append("Give only one of factor, spacing and isotropic.")
        if self.exact and self.spacing is None and not self.isotropic:
            problems.append("Exact requires a spacing: give one, or isotropic.")
        return problems


def check(options: SynthesisOptions, recipe: Recipe) -> None:
    """Raise SynthesisError "bad-option" if the options are invalid."""
    for problem in options.problems(recipe):
        raise SynthesisError("bad-option", problem)
