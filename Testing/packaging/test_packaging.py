"""What the Extensions Manager would get: complete lists, a module that runs from them, and the index's rules."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))
from list_module_files import CMAKE, MODULE, listed, on_disk, written  # noqa: E402

NAME = "CTSliceSynthesis"
TOP = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
ENTRY = REPOSITORY / "Resources" / f"{NAME}.json"
CATEGORIES = {"Image Synthesis", "Filtering", "Utilities"}  # some of the index's list
MOST_BYTES = 100e6


def test_the_lists_of_installed_files_are_what_lies_on_disk():
    found = listed(CMAKE.read_text(encoding="utf-8"))
    for name, files in on_disk().items():
        assert found[name] == files, f"{name}: run Testing/list_module_files.py"


def test_the_comparison_of_lists_notices_a_file_too_few_and_one_too_many():
    text = CMAKE.read_text(encoding="utf-8")
    files = on_disk()
    for change in (files["MODULE_PYTHON_SCRIPTS"][1:], [*files["MODULE_PYTHON_SCRIPTS"], "none.py"]):
        changed = written(text, {"MODULE_PYTHON_SCRIPTS": change})
        assert listed(changed)["MODULE_PYTHON_SCRIPTS"] == change != files["MODULE_PYTHON_SCRIPTS"]


RUN = """
import pathlib, sys, slicer_harness
harness = slicer_harness.start()
module = harness.load(pathlib.Path(sys.argv[1]))
widget = module.widgetRepresentation()
widget.enter()
import slicer, CTSliceSynthesisEngine
slicer.selfTests["CTSliceSynthesis"]()
print(pathlib.Path(CTSliceSynthesisEngine.__file__).parents[1])
import CTSliceSynthesis
logic = CTSliceSynthesis.CTSliceSynthesisLogic()
print(logic.increaseResolution(CTSliceSynthesis.thickSample(4), factor=2).GetName())
print(widget.self().ui.runButton.text, harness.errors)
"""


def test_the_module_runs_from_a_folder_with_exactly_the_listed_files(tmp_path):
    for files in listed(CMAKE.read_text(encoding="utf-8")).values():
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(MODULE / name, tmp_path / name)
    harness = str(REPOSITORY / "Testing" / "harness")
    start = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {harness!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", start + RUN, str(tmp_path / f"{NAME}.py")],
        capture_output=True, text=True, timeout=300, cwd=tmp_path, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [str(tmp_path), "thick sample x2", "Increase slice resolution []"], done.stderr


def test_the_extension_has_the_name_of_its_index_entry():
    assert re.search(r"project\s*\(\s*(\w+)", TOP)[1] == NAME == ENTRY.stem
    assert not NAME.lower().startswith("slicer")


@pytest.mark.parametrize("variable", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_urls_are_literal_and_name_pictures_of_this_repository(variable):
    urls = re.search(rf'set\({variable} "([^"]+)"\)', TOP)[1].split()
    base = "https://raw.githubusercontent.com/CTSliceSynthesis/SlicerCTSliceSynthesis/main/"
    for url in urls:
        assert url.startswith(base)
        assert "${" not in url
        assert (REPOSITORY / url.removeprefix(base)).read_bytes().startswith(b"\x89PNG")


SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
"""The one that the index checks its entries against."""


def test_the_index_entry_follows_the_schema():
    entry = json.loads(ENTRY.read_text(encoding="utf-8"))
    assert entry["$schema"] == SCHEMA
    known = {
        "$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "build_dependencies": list,
        "build_subdirectory": str, "dicom_support_rule": str, "enabled": bool, "tier": int,
    }  # fmt: skip
    assert set(entry) <= set(known)
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert all(isinstance(value, known[key]) for key, value in entry.items())
    assert 1 <= entry["tier"] <= 5
    assert entry["category"] in CATEGORIES
    # The repository says in its name what it extends; the extension, which is shown within Slicer, does not.
    assert re.fullmatch(r"https://github\.com/[\w-]+/Slicer[\w-]+\.git", entry["scm_url"])
    assert b"\r" not in ENTRY.read_bytes()


def test_a_licence_lies_at_the_root():
    assert "Apache License" in (REPOSITORY / "LICENSE.txt").read_text(encoding="utf-8")


def own_files():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True)
    if found.returncode:
        pytest.skip("not a git repository: its files cannot be told from others")
    return [REPOSITORY / name for name in found.stdout.decode().split("\0") if name and (REPOSITORY / name).is_file()]


def test_a_clone_with_its_history_is_far_smaller_than_the_index_allows():
    """The history is packed for this: the size of .git depends on how often, and from where, it was fetched."""
    packed = subprocess.run(
        ["git", "pack-objects", "--revs", "--stdout", "--quiet"], input=b"HEAD\n", cwd=REPOSITORY, capture_output=True
    )
    if packed.returncode:
        pytest.skip("not a git repository")
    assert sum(path.stat().st_size for path in own_files()) + len(packed.stdout) < MOST_BYTES / 2


def test_texts_have_lf_line_ends():
    texts = (".py", ".txt", ".md", ".json", ".ui", ".toml", ".csv", ".svg")
    assert not [path for path in own_files() if path.suffix in texts and b"\r" in path.read_bytes()]


def test_importing_the_module_imports_nothing_that_slicer_lacks():
    """A generic test of Slicer loads each module; imports within functions come later."""
    allowed = {"slicer", "vtk", "qt", "ctk", *sys.stdlib_module_names}
    loaded = {"CTSliceSynthesisLib": MODULE / f"{NAME}Lib" / "Logic.py"}
    for path in (MODULE / f"{NAME}.py", *loaded.values()):
        tops = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert tops
        assert set(tops) <= allowed | set(loaded), path.name
