"""Put a trained model into the package: weights, card with measured figures, registry entry with SHA-256.

    python Testing/benchmarks/bundle.py MODEL.pt NAME --figures quality.json --measured-on sources.csv --summary "..."

The figures come from Testing/benchmarks/quality.py, run on the very same file: another SHA-256 is refused.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from CTSliceSynthesisEngine.networks.checkpoint import load
from CTSliceSynthesisEngine.networks.registry import BUNDLED
from CTSliceSynthesisEngine.training.scans.source_table import read_sources

LIMITS = [
    "Synthesized slices are estimates; for research use, not for diagnosis.",
    "Learned from seven CT scans of chest and upper abdomen; other anatomy, contrast phases and kernels are untested.",
    "Synthesized slices are smoother than acquired ones (see texture), so reformats can show faint stripes; even texture hides"
    " them for reading.",
    "Structures smaller than the slice spacing that no acquired slice shows cannot be recovered.",
    "Voxels that truly are lung are 2 to 13 HU too dark in a low-dose scan, as the anatomy without its noise would be; the"
    " mean over an outlined region of lung is right to 5 HU.",
    "The expected error is an average over scans like those it was calibrated on. In quiet tissue the true error can be larger:"
    " by 40 % with gaps, by 60 % between touching slices and by 90 % with soft slice profiles (bell). Between touching slices"
    " it can also be a third smaller.",
    "Give the slice thickness if it is known: without it the gain is smaller.",
]


def main() -> None:
    """Copy, compose, register."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("name")
    parser.add_argument("--figures", required=True)
    parser.add_argument("--measured-on", required=True, metavar="CSV", help="source and licence of the measured scans")
    parser.add_argument("--summary", required=True)
    options = parser.parse_args()
    model, measured = load(options.model), json.loads(Path(options.figures).read_text(encoding="utf-8"))
    if measured["sha256"] != model.sha256:
        sys.exit(f"{options.figures} was measured on {measured['sha256'][:16]}..., not on {model.sha256[:16]}...")
    card = {
        "summary": options.summary,
        **model.card,
        "fusion": dict(zip(("axial", "coronal", "sagittal"), (round(w, 4) for w in model.fusion), strict=True)),
        "expected_error": list(model.expected_error.coefficients) if model.expected_error else None,
        "measured_on": [
            {"scan": known.scan, "thickness": known.thickness, "source": known.source, "licence": known.licence}
            for known in read_sources(options.measured_on).values()
        ],
        "figures": measured["rows"],
        "limits": LIMITS,
        "licence": "Apache-2.0; the scans it learned from are named under data with their own licences",
        "sha256": model.sha256,
    }
    shutil.copyfile(options.model, BUNDLED / f"{options.name}.pt")
    (BUNDLED / f"{options.name}.json").write_text(
        json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    _register(
        {"name": options.name, "file": f"{options.name}.pt", "card": f"{options.name}.json", "sha256": model.sha256}
    )


def _register(entry: dict[str, str]) -> None:
    """Add or replace the model's entry; the default model stays first."""
    path = BUNDLED / "registry.json"
    others = [old for old in json.loads(path.read_text(encoding="utf-8"))["models"] if old["name"] != entry["name"]]
    models = sorted([*others, entry], key=lambda model: model["name"] != "compact")
    path.write_text(json.dumps({"version": 1, "models": models}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
