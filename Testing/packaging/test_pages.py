"""The pages: no entry is out of date, links lead somewhere, and figures are those of the models."""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))
sys.path.insert(0, str(REPOSITORY / "Testing" / "benchmarks"))
from sentences import GAP, engine_sentences, lib_sentences  # noqa: E402
from tables import TOLD, bundled_rows, tables, with_tables  # noqa: E402

PAGES = REPOSITORY / "Resources" / "Documentation"
SAID_ELSEWHERE = ("A defect of this program",)
"""Put together in the command line, not as an error of its own."""


def entries():
    """What stands in bold at the beginning of a paragraph of the page."""
    text = (PAGES / "troubleshooting.md").read_text(encoding="utf-8")
    found = [" ".join(entry.split()) for entry in re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE | re.DOTALL)]
    assert len(found) == len(set(found))
    return found


def begins(sentence, entry):
    return sentence.startswith(entry.rstrip(f" {GAP}"))


def test_no_entry_is_out_of_date():
    sentences = engine_sentences() | lib_sentences()
    old = [entry for entry in entries() if not any(begins(sentence, entry) for sentence in sentences)]
    assert old == list(SAID_ELSEWHERE)
    failures = (REPOSITORY / "CTSliceSynthesis/CTSliceSynthesisEngine/jobs/failures.py").read_text(encoding="utf-8")
    assert all(sentence in failures for sentence in SAID_ELSEWHERE)


def test_the_walk_over_the_source_finds_sentences_of_every_form():
    found = engine_sentences() | lib_sentences()
    for sentence in (
        "The device is auto, cpu, mps, cuda or cuda:n, not ….",  # an f-string
        "Choose an input volume.",  # returned by `problems`
        "A check leaves out every second slice and needs at least … slices, found …: check a longer scan.",  # in two parts
        "There is no model “…”: choose one of ….",  # to be translated
    ):
        assert sentence in found


def anchors(page):
    """The anchors of a page's headings, as GitHub forms them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}


def test_links_between_pages_lead_to_pages_and_headings_that_exist():
    anchored = 0
    for page in [*PAGES.glob("*.md"), *REPOSITORY.glob("*.md"), REPOSITORY / "Testing" / "benchmarks" / "README.md"]:
        for target, _, anchor in re.findall(r"\]\(([^)#]*)(#([^) ]+))?[^)]*\)", page.read_text(encoding="utf-8")):
            if target.startswith("https://"):
                continue
            place = page.parent / target if target else page
            assert place.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(place), f"{page.name}: {target}#{anchor}"
            anchored += bool(anchor)
    assert anchored > 2


def test_the_code_of_the_pages_names_what_there_is():
    logic = (REPOSITORY / "CTSliceSynthesis" / "CTSliceSynthesisLib" / "Logic.py").read_text(encoding="utf-8")
    methods = set(re.findall(r"def (\w+)\(\s*self", logic))
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / "scripting.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        compile(block, "scripting.md", "exec")
    called = set(re.findall(r"\blogic\.(\w+)\(", "".join(blocks)))
    assert {"increaseResolution", "check", "train", "adapt"} <= called <= methods


def test_the_recipes_name_what_their_files_contain():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Rules")[0]
    module, named = REPOSITORY / "CTSliceSynthesis", 0
    for line in re.findall(r"^\d\. (.*)$", text, re.MULTILINE):
        path, *names = re.findall(r"`([^`]+)`", line)
        if "<" in path or " " in path:  # a new file, or a command
            continue
        places = [
            top / path for top in (module / "CTSliceSynthesisEngine", module, REPOSITORY) if (top / path).exists()
        ]
        assert places, line
        content = places[0].read_text(encoding="utf-8")
        for name in filter(str.isidentifier, names):
            assert re.search(rf"\b{name}\b", content), line
            named += 1
    assert named > 6


def test_the_figures_on_the_pages_are_those_of_the_bundled_models():
    pages = [page.read_text(encoding="utf-8") for page in (REPOSITORY / "README.md", PAGES / "results.md")]
    assert with_tables(pages, tables(bundled_rows())) == pages, "python Testing/benchmarks/tables.py PAGE ..."


def test_the_readme_is_short_and_begins_with_what_a_radiologist_needs():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) <= 6 * 1024
    first_screen = " ".join(text.split()[:220])
    assert all(words in first_screen for words in ("estimates", "not for diagnosis", "Increase slice resolution"))


def test_with_a_given_thickness_three_views_lose_at_most_0_04_db_to_the_mean_of_coronal_and_sagittal():
    for name, rows in bundled_rows().items():
        given = [row for row in rows if row["way"] == TOLD]
        worse = [row for row in given if row["psnr_db"] < row["without_axial_psnr_db"] - 0.04]
        assert len(given) >= 18
        assert not worse, [(name, row["scan"], row["factor"], row["profile"]) for row in worse]
