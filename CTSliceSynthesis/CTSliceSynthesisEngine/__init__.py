"""Synthesize thin CT slices from thick ones. The subpackages:

    volume      CT volumes: voxels in HU on a grid in patient space, file formats, simulation of thick slices
    networks    network architectures, recipes, checkpoints
    synthesis   from thick to thin slices: plan, three views, fusion, classical interpolation
    evaluation  metrics on held-out slices, reports, pictures
    training    training from thick scans alone, and from thin ones where available
    jobs        request in, events out: the interface for the command line and other programs

From Python:

    from CTSliceSynthesisEngine import SynthesisOptions, load_model, make_plan, read, synthesize, write

    scan = read("thick.nrrd", thickness=5.0)                         # voxels (k, j, i) in HU, grid in RAS mm
    plan = make_plan(scan.grid, scan.voxels.dtype, SynthesisOptions(factor=4))  # raises SynthesisError if impossible
    result = synthesize(scan, plan, load_model("compact"))           # N slices become (N - 1) * 4 + 1
    write(result.volume, "thin.nrrd")

Synthesized slices are estimates, for research use only. This package never opens a network connection.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import SynthesisError
    from .evaluation.holdout import Comparison, compare, hold_out
    from .networks.checkpoint import Model
    from .networks.checkpoint import load as load_model
    from .synthesis.classical import interpolate_volume
    from .synthesis.options import SynthesisOptions
    from .synthesis.pipeline import Result, synthesize
    from .synthesis.plan import Plan, make_plan
    from .volume.files import read, write
    from .volume.grid import Grid
    from .volume.thickness import estimate_thickness
    from .volume.thinning import thin_out
    from .volume.volume import Volume

__all__ = [
    "Comparison",
    "Grid",
    "Model",
    "Plan",
    "Result",
    "SynthesisError",
    "SynthesisOptions",
    "Volume",
    "compare",
    "estimate_thickness",
    "hold_out",
    "interpolate_volume",
    "load_model",
    "make_plan",
    "read",
    "synthesize",
    "thin_out",
    "write",
]

_MODULES = {
    "errors": ("SynthesisError",),
    "evaluation.holdout": ("Comparison", "compare", "hold_out"),
    "networks.checkpoint": ("Model", "load_model"),
    "synthesis.classical": ("interpolate_volume",),
    "synthesis.options": ("SynthesisOptions",),
    "synthesis.pipeline": ("Result", "synthesize"),
    "synthesis.plan": ("Plan", "make_plan"),
    "volume.files": ("read", "write"),
    "volume.grid": ("Grid",),
    "volume.thickness": ("estimate_thickness",),
    "volume.thinning": ("thin_out",),
    "volume.volume": ("Volume",),
}


def __getattr__(name: str) -> Any:
    """Import public names on first access, so that showing a plan in the panel does not load PyTorch or SimpleITK."""
    for home, names in _MODULES.items():
        if name in names:
            module = import_module(f".{home}", __name__)
            return getattr(module, "load" if name == "load_model" else name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
