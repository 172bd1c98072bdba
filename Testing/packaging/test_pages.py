"""The pages: every sentence that says what is wrong has an entry, and no entry is out of date."""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))
sys.path.insert(0, str(REPOSITORY / "Testing" / "benchmarks"))
from sentences import GAP, engine_sentences, lib_sentences  # noqa: E402
from tables import TOLD, bundled_rows, tables, with_tables  # noqa: E402

PAGES = REPOSITORY / "Resources" / "Documentation"
NO_TROUBLE = (
    "“…” is ready",
    "“…” is trained, and among the models now.",
    "“…” was added to the models.",
    "This file is the model “…” already.",
    "The run was canceled",
    "The check was canceled",
    "The training was stopped",
    "The scene was closed",
    "Increase the slice resolution of every scan",
    "… done, … were there already",
    "… at x…: … dB against …",
)
SAID_ELSEWHERE = ("The memory ran out", "A defect of this program")
"""Put together in the command line, not as an error of its own."""


def entries():
    """What stands in bold at the beginning of a paragraph of the page."""
    text = (PAGES / "troubleshooting.md").read_text(encoding="utf-8")
    found = [" ".join(entry.split()) for entry in re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE | re.DOTALL)]
    assert len(found) == len(set(found))
    return found


def begins(sentence, entry):
    return sentence.startswith(entry.rstrip(f" {GAP}"))


def test_every_sentence_that_tells_trouble_has_an_entry():
    sentences = engine_sentences() | lib_sentences()
    assert len(sentences) > 150
    missing = [
        f"{file}: {sentence}"
        for sentence, file in sentences.items()
        if not any(begins(sentence, entry) for entry in (*entries(), *NO_TROUBLE))
    ]
    assert not missing, "\n".join(missing)


def test_no_entry_is_out_of_date():
    sentences = engine_sentences() | lib_sentences()
    old = [entry for entry in (*entries(), *NO_TROUBLE) if not any(begins(sentence, entry) for sentence in sentences)]
    assert old == list(SAID_ELSEWHERE)
    commands = (REPOSITORY / "CTSliceSynthesis/CTSliceSynthesisEngine/jobs/commands.py").read_text(encoding="utf-8")
    assert all(sentence in commands for sentence in SAID_ELSEWHERE)


def test_the_walk_over_the_source_finds_sentences_of_every_form():
    found = engine_sentences() | lib_sentences()
    for sentence in (
        "The device is auto, cpu, mps, cuda or cuda:n, not ….",  # an f-string
        "Choose an input volume.",  # returned by `problems`
        "A check leaves out every second slice and needs at least … slices, found …: check a longer scan.",  # in two parts
        "There is no model “…”: choose one of ….",  # to be translated
    ):
        assert sentence in found


def test_links_between_pages_lead_somewhere():
    for page in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_code_of_the_pages_names_what_there_is():
    logic = (REPOSITORY / "CTSliceSynthesis" / "CTSliceSynthesis.py").read_text(encoding="utf-8")
    methods = set(re.findall(r"def (\w+)\(\s*self", logic))
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / "scripting.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        compile(block, "scripting.md", "exec")
    called = set(re.findall(r"\blogic\.(\w+)\(", "".join(blocks)))
    assert {"increaseResolution", "check", "train", "adapt"} <= called <= methods


def test_the_figures_in_the_readme_are_those_of_the_bundled_model():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert with_tables(readme, tables(bundled_rows())) == readme, "python Testing/benchmarks/tables.py README.md"


def test_where_the_thickness_is_told_three_views_are_never_worse_than_the_mean_of_coronal_and_sagittal():
    for name, rows in bundled_rows().items():
        told = [row for row in rows if row["way"] == TOLD]
        worse = [row for row in told if row["psnr_db"] < row["without_axial_psnr_db"]]
        assert len(told) >= 24
        assert not worse, [(name, row["scan"], row["factor"], row["profile"]) for row in worse]
