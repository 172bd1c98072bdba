"""What can be asked of a run. What is decided from it is a `Plan`. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SynthesisError
from ..networks.recipes import CompactRecipe, Recipe
from .classical import LEAST_SLICES
from .outputs import OUTPUTS

FACTORS = range(2, 9)
"""Factors that can be asked for."""

THREE_VIEW = "three-view"
METHODS = (THREE_VIEW, *LEAST_SLICES)

ESTIMATE, EVEN = TEXTURES = ("estimate", "even")
"""The best estimate as it is, or as grainy as acquired slices for reading; see `texture`."""

AUTO, FLOAT32, BFLOAT16 = PRECISIONS = ("auto", "float32", "bfloat16")
"""What networks are computed in: what the processor or card is known to be fast in, or one of two; see `devices`."""

KEEP, THIN = ACQUIRED = ("keep", "thin")
"""Acquired slices as they are, or slices as thin as the new ones in their places; see `acquired`."""


@dataclass(frozen=True)
class SynthesisOptions:
    """What is asked for.

    Attributes:
        factor: how many times more slices, one of FACTORS; or
        spacing: the slice spacing to come near, mm; or
        isotropic: come near the in-plane pixel spacing. With none of the three the factor is 2.
        exact: with `spacing` or `isotropic`: reach it instead of coming near; only slices that coincide are acquired ones.
        method: one of METHODS.
        acquired: one of ACQUIRED: what is to lie in the places of the acquired slices.
        texture: one of TEXTURES; EVEN for "three-view" only.
        outputs: names of OUTPUTS to make beside the thin scan; for "three-view" only.
        precision: one of PRECISIONS.
        accept_isotropic: go on where slices are as close as pixels already.
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
        """What is outside the rule, for a model of this recipe, in sentences; empty when all is well."""
        found = [
            f"{name} is one of {', '.join(choices)}, not {value!r}."
            for name, value, choices in (
                ("The method", self.method, METHODS),
                ("What becomes of acquired slices", self.acquired, ACQUIRED),
                ("The texture", self.texture, TEXTURES),
                ("The precision", self.precision, PRECISIONS),
                *(("What is made beside the scan", name, tuple(OUTPUTS)) for name in self.outputs),
            )
            if value not in choices
        ]
        if self.acquired == THIN and (self.method != THREE_VIEW or not isinstance(recipe, CompactRecipe)):
            found.append(
                "Acquired slices are made thinner by three-view with a compact model alone: choose it, or keep."
            )
        if self.method != THREE_VIEW:
            lacks = [OUTPUTS[name].lack for name in self.outputs if name in OUTPUTS]
            lacks += ["has no even texture"] * (self.texture == EVEN)
            found += [f"{self.method} {lack}: choose {THREE_VIEW}." for lack in lacks]
        if sum((self.factor is not None, self.spacing is not None, self.isotropic)) > 1:
            found.append("Give one of factor, spacing and isotropic, not several.")
        if self.exact and self.spacing is None and not self.isotropic:
            found.append("Exact needs a spacing: give one, or isotropic.")
        return found


def check(options: SynthesisOptions, recipe: Recipe) -> None:
    """Refuse what is outside the rule: SynthesisError "bad-option"."""
    for problem in options.problems(recipe):
        raise SynthesisError("bad-option", problem)
