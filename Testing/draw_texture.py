"""Draws ScreenShots/texture.png: the coronal reformat of the estimate, of even texture, of cubic, and of the truth.

`make screenshots`. The bundled sample, every fourth slice kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from CTSliceSynthesisEngine.evaluation.holdout import hold_out
from CTSliceSynthesisEngine.evaluation.metrics import psnr, slices_first, synthesized, texture
from CTSliceSynthesisEngine.evaluation.reformat import scene
from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.synthesis.classical import interpolate_volume
from CTSliceSynthesisEngine.synthesis.options import SynthesisOptions
from CTSliceSynthesisEngine.synthesis.pipeline import synthesize
from CTSliceSynthesisEngine.synthesis.plan import make_plan
from CTSliceSynthesisEngine.volume.files import read
from CTSliceSynthesisEngine.volume.volume import Volume

REPOSITORY = Path(__file__).parents[1]
SAMPLE = REPOSITORY / "CTSliceSynthesis" / "Resources" / "SampleData" / "ts_body_1p5iso_crop.nrrd"
FACTOR = 4
WINDOW = (-110, 190)  # HU, narrow: grain is faint


def main() -> None:
    thick, truth = hold_out(read(SAMPLE, thickness=1.5), FACTOR, "gap")
    model = load("compact")
    plain, even = (
        make_plan(thick.grid, thick.voxels.dtype, SynthesisOptions(factor=FACTOR, texture=texture))
        for texture in ("estimate", "even")
    )
    pictures = {
        "estimate": synthesize(thick, plain, model).volume,
        "even texture": synthesize(thick, even, model).volume,
        "cubic": interpolate_volume(thick, FACTOR, "cubic"),
        "every slice acquired": truth,
    }
    shown = scene(thick, truth.grid, 1.0, 1.0).reformat
    shown = replace(shown, plane=truth.grid.size[shown.normal] // 2)
    across, up = shown.size(truth.grid)
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 9.6 * up / across + 0.8), layout="constrained")
    for axis, (title, volume) in zip(axes.flat, pictures.items(), strict=True):
        axis.imshow(shown.cut(volume.voxels), cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], extent=(0, across, up, 0))
        axis.set_title(f"{title}{figures(volume, truth)}", fontsize=10)
        axis.set_axis_off()
    figure.savefig(REPOSITORY / "ScreenShots" / "texture.png", dpi=100)
    print("texture.png")


def figures(volume: Volume, truth: Volume) -> str:
    """PSNR of the new slices, and their grain over that of the acquired ones."""
    if volume is truth:
        return ""
    found, true = slices_first(volume), slices_first(truth)
    new = synthesized(len(true), FACTOR)
    return f": {psnr((found - true)[new]):.1f} dB, texture {texture(found, FACTOR):.2f}"


if __name__ == "__main__":
    main()
