"""Time and memory of the `published` recipe at full size: one training step and one inference.

    python Testing/benchmarks/published_step.py [--factor 2]

The step is level 0 of the paper in all three views: slices of a 64 x 64 x 33 crop are left out and predicted, L1 loss, Adam
(0.9, 0.99). The inference restores a small thick scan through the same pipeline as every other model.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from CTSliceSynthesisEngine.networks.checkpoint import Model
from CTSliceSynthesisEngine.networks.recipes import PRESETS, PublishedRecipe
from CTSliceSynthesisEngine.synthesis import views
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.intensity import to_unit
from CTSliceSynthesisEngine.volume.volume import Volume

SAMPLE = Path(__file__).parents[2] / "CTSliceSynthesis/Resources/SampleData/ts_body_1p5iso_crop.nrrd"


def level_zero(networks: torch.nn.ModuleDict, crop: torch.Tensor, factor: int) -> torch.Tensor:
    """Return the L1 loss of the three views on slices left out of `crop` (D, H, W)."""
    thick = crop[::factor]
    held_out = torch.stack(
        [crop[step::factor][: len(thick) - 1] for step in range(1, factor)], dim=1
    )  # (G, r - 1, H, W)
    axial, _ = networks["axial"](torch.stack([thick[:-1], thick[1:]], dim=1))
    coronal = views.from_coronal_planes(networks["through_plane"](views.coronal_planes(thick)))
    turned = networks["through_plane"](views.coronal_planes(views.swap_rows_columns(thick)))
    sagittal = views.swap_rows_columns(views.from_coronal_planes(turned))
    return sum(((view - held_out).abs().mean() for view in (axial, coronal, sagittal)), start=torch.zeros(()))


def main() -> None:
    """Print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=int, default=2)
    factor = parser.parse_args().factor
    torch.manual_seed(0)
    recipe = PRESETS["published"]
    assert isinstance(recipe, PublishedRecipe)
    model = Model.untrained(replace(recipe, factor=factor))
    for view, network in model.networks.items():
        print(f"{view}: {sum(p.numel() for p in network.parameters()) / 1e6:.2f} million parameters")

    crop = torch.from_numpy(to_unit(read(SAMPLE).voxels[:33, 40:104, 60:124]))
    optimizer = torch.optim.Adam(model.networks.parameters(), lr=1e-4, betas=(0.9, 0.99))
    start = time.perf_counter()
    loss = level_zero(model.networks, crop, factor)
    loss.backward()
    optimizer.step()
    print(f"one step of training: {time.perf_counter() - start:.1f} s, L1 of three views {loss.item():.4f}")

    voxels = read(SAMPLE).voxels[:9, 40:104, 60:124]
    thick = Volume(np.ascontiguousarray(voxels), Grid((64, 64, 9), np.diag([1.5, 1.5, 6.0, 1.0])))
    plan = make_plan(thick.grid, thick.voxels.dtype, SynthesisOptions(factor=factor), recipe=model.recipe)
    start = time.perf_counter()
    result = synthesize(thick, plan, model, device=torch.device("cpu"))
    print(f"one inference: {thick.grid.size} -> {result.volume.grid.size} in {time.perf_counter() - start:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
