"""The notebook: it runs from the first cell to the last, and is kept without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "Resources" / "Documentation" / "quickstart.ipynb"


def cells(kind):
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path):
    """As a script, in a folder of its own: what it reads lies where the notebook says, seen from its own folder."""
    code = "\n\n".join("".join(cell["source"]) for cell in cells("code"))
    assert code.count('Path("../../') == 1
    code = code.replace('Path("../../', f'Path("{REPOSITORY.as_posix()}/')
    (tmp_path / "quickstart.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(REPOSITORY / "CTSliceSynthesis")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive", "quickstart.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "a slice every 6 mm" in lines[0]
    gains = {line.split()[0]: float(line.split()[1]) for line in lines if " dB " in line}
    assert gains.pop("three-view") > max(gains.values())
    assert (tmp_path / "thin.nrrd").exists()


def test_the_notebook_is_kept_without_outputs():
    for cell in cells("code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}


def test_the_notebook_tells_what_each_step_does_and_what_its_results_are():
    text = "".join("".join(cell["source"]) for cell in cells("markdown"))
    for word in ("## Read", "## Plan", "## Synthesize", "## Evaluate", "## Plot", "estimates; for research use"):
        assert word in text
