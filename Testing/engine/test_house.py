"""Architecture rules: allowed imports, modules that work without PyTorch, and forbidden text."""

import ast
import subprocess
import sys
from pathlib import Path

import CTSliceSynthesisEngine
import pytest

ENGINE = Path(CTSliceSynthesisEngine.__file__).parent
REPOSITORY = ENGINE.parents[1]
ROOMS = {"volume", "networks", "synthesis", "evaluation", "training", "jobs"}
FOR_ALL = {"errors", "version", "whole_file", "whole_folder", "regular_file", "child", "ranks"}
COMMAND = Path("__main__.py")  # entry point of the command line
PACKAGE = Path("__init__.py")  # names the public API and imports it on first access

MAY_IMPORT = {
    "volume": set(),
    "networks": set(),
    "synthesis": {"volume", "networks"},
    "evaluation": {"volume", "synthesis", "networks.checkpoint"},
    "training": {"volume", "networks", "synthesis", "evaluation"},
    "jobs": ROOMS,
    "": set(),
}
MAY_USE = {
    "volume": {"numpy", "scipy"},
    "networks": {"torch"},
    "synthesis": {"numpy", "scipy", "torch"},
    "evaluation": {"numpy", "scipy", "matplotlib"},
    "training": {"numpy", "torch"},
    "jobs": {"numpy", "torch", "tqdm"},
    "": set(),
}
WITH_SIMPLEITK = {"volume/files.py", "volume/dicom/compressed.py"}
WITH_PYDICOM = {"volume/dicom/compressed.py"} | {
    f"volume/dicom/dicom_{name}.py" for name in ("file", "header", "origin", "template", "series")
}


def module_name(path):
    """Return "package.group.module" for a file of the engine."""
    return ".".join(path.relative_to(ENGINE).with_suffix("").parts)


TORCH_FREE = [
    "errors",
    "version",
    "whole_file",
    "whole_folder",
    "regular_file",
    "child",
    "ranks",
    *(module_name(path) for path in sorted((ENGINE / "volume").rglob("[a-z]*.py"))),
    *(f"networks.{name}" for name in ("recipes", "registry")),
    *(
        f"synthesis.{name}"
        for name in ("plan", "options", "outputs", "classical", "views", "stack", "tiles", "pipeline")
    ),
    *(f"evaluation.{path.stem}" for path in sorted((ENGINE / "evaluation").glob("[a-z]*.py"))),
    *(
        f"jobs.{name}"
        for name in (
            "increase_request",
            "events",
            "failures",
            "progress_bars",
            "info",
            "increase",
            "evaluate",
            "commands",
        )
    ),
    *(f"jobs.{name}" for name in ("train_commands", "run_request", "check", "check_request", "inspect_model")),
    "training.scans.scan",
]


def imported_by(path):
    """Yield (line, module) of every import; modules of the engine as ".package.module", others by their full name."""
    package = list(path.relative_to(ENGINE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] + (node.module.split(".") if node.module else [])
            is_package = ENGINE.joinpath(*base).is_dir()
            yield from ((node.lineno, "." + ".".join([*base, *([n.name] * is_package)])) for n in node.names)


def is_allowed(path, module):
    inside = path.relative_to(ENGINE)
    if inside == COMMAND:
        return module in (".errors", ".jobs.commands") or module in sys.stdlib_module_names
    if inside == PACKAGE:
        return module.startswith(".") or module in sys.stdlib_module_names
    room = inside.parts[0] if len(inside.parts) > 1 else ""
    if module.startswith("."):
        target = module[1:]
        return target.split(".")[0] in {room, *FOR_ALL} or any(
            target == name or target.startswith(f"{name}.") for name in MAY_IMPORT[room]
        )
    top = module.split(".")[0]
    name = inside.as_posix()
    libraries = {"SimpleITK": WITH_SIMPLEITK, "pydicom": WITH_PYDICOM}
    may_use = MAY_USE[room] | {library for library, files in libraries.items() if name in files}
    return top in sys.stdlib_module_names or top in may_use


def test_every_import_is_allowed_by_the_table():
    forbidden = [
        f"{path.relative_to(ENGINE)}:{line} imports {module}"
        for path in sorted(ENGINE.rglob("*.py"))
        for line, module in imported_by(path)
        if not is_allowed(path, module)
    ]
    assert not forbidden, "\n".join(forbidden)


@pytest.mark.parametrize(
    ("path", "module", "allowed"),
    [
        ("volume/grid.py", ".synthesis.plan", False),
        ("volume/grid.py", "torch", False),
        ("volume/grid.py", "SimpleITK", False),
        ("volume/files.py", "SimpleITK", True),
        ("networks/recipes.py", ".volume.grid", False),
        ("evaluation/metrics.py", ".networks.checkpoint", True),
        ("evaluation/metrics.py", ".networks.recipes", False),
        ("synthesis/plan.py", ".errors", True),
        ("jobs/info.py", "slicer", False),
        ("synthesis/predict.py", "torchvision", False),
    ],
)
def test_the_import_check_distinguishes_allowed_from_forbidden(path, module, allowed):
    assert is_allowed(ENGINE / path, module) == allowed


def test_the_package_offers_every_public_name_and_imports_nothing_early(child):
    code = """
import sys
import CTSliceSynthesisEngine as engine
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "SimpleITK", "numpy", "scipy"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, **child)
    assert done.stdout == "[]\n", done.stderr
    for name in CTSliceSynthesisEngine.__all__:
        offered = getattr(CTSliceSynthesisEngine, name)
        assert offered.__name__ in (name, "load")
    assert set(CTSliceSynthesisEngine.__all__) <= set(dir(CTSliceSynthesisEngine))
    with pytest.raises(AttributeError, match="nonesuch"):
        getattr(CTSliceSynthesisEngine, "nonesuch")  # noqa: B009 (as a program with a misspelt name would)


def test_relative_imports_are_resolved_like_python_does():
    actual = {module for _, module in imported_by(ENGINE / "synthesis" / "pipeline.py")}
    assert {".errors", ".volume.volume", ".synthesis.classical", ".synthesis.plan", ".networks.checkpoint"} <= actual


def run_without_torch(code, child, **options):
    """Run code in a process in which `import torch` fails, as if it were not installed."""
    code = f"import sys; sys.modules['torch'] = None\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, **child, **options)


def test_without_pytorch_every_torch_free_file_loads_and_the_classical_methods_work(
    child, tmp_path, make_scan, write_scan
):
    write_scan(make_scan(), tmp_path / "thick.nrrd")
    done = run_without_torch(
        f"""
import importlib
for name in {TORCH_FREE!r}:
    importlib.import_module("CTSliceSynthesisEngine." + name)
from CTSliceSynthesisEngine.jobs.commands import main
print("cubic", main(["increase", "thick.nrrd", "thin.nrrd", "--factor", "3", "--method", "cubic"]))
print("info", main(["info", "thick.nrrd"]))
print("three-view", main(["increase", "thick.nrrd", "never.nrrd"]))
print("evaluate", main(["evaluate", "thick.nrrd", "--factor", "2"]))
print("train", main(["train", ".", "--out", "model.pt"]))
""",
        child,
        cwd=tmp_path,
    )
    statuses = dict(line.split() for line in done.stdout.splitlines() if line.count(" ") == 1)
    assert statuses == {"cubic": "0", "info": "0", "three-view": "7", "evaluate": "7", "train": "7"}, done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("ctslices:")]
    assert len(sentences) == 3
    assert all("PyTorch, which is not installed: install it (pip install torch)" in line for line in sentences)
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thick.nrrd", "thin.nrrd"]


def test_info_and_help_do_not_load_pytorch_where_it_is_installed(child, tmp_path, make_scan, write_scan):
    write_scan(make_scan(), tmp_path / "thick.nrrd")
    code = """
import sys
from CTSliceSynthesisEngine.jobs.commands import main
main(["info", "thick.nrrd", "--json"])
main(["models"])
try:
    main(["--help"])
except SystemExit:
    print("loaded:", {"torch", "matplotlib"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, cwd=tmp_path, **child)
    assert done.stdout.splitlines()[-1] == "loaded: set()", done.stdout + done.stderr


def test_no_file_mentions_the_development_machine():
    forbidden = [b"/wo" + b"rk/", b"sha" + b"red/"]
    named = [
        f"{path.relative_to(REPOSITORY)} says {word.decode()}"
        for path in own_files()
        for word in forbidden
        if word in path.read_bytes()
    ]
    assert not named, "\n".join(named)


def own_files():
    """Return the files of the repository: those tracked by git or not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git repository: its files cannot be told from others")
    paths = [REPOSITORY / name for name in listed.stdout.decode().split("\0") if name]
    assert len(paths) > 50
    return [path for path in paths if path.is_file()]


LEVELS = {
    "CTSliceSynthesisEngine/volume": "dicom_slice grid intensity | source volume | image_files | dicom",
    "CTSliceSynthesisEngine/training": "scans | objectives | optimization validation",
    "CTSliceSynthesisLib": "Messages Scene | Setup | Parameters | Processes | Session | Sequences | Batch Views | Widgets",
}
"""Folders with layers: each layer may import only from those on its left. Modules not listed may import all."""


def graph_of(root):
    """Return module -> imported modules of the same package, both without the package name."""
    names = {module_of(path, root) for path in root.rglob("*.py")}
    return {module_of(path, root): set(targets(path, root, names)) for path in sorted(root.rglob("*.py"))}


def module_of(path, root):
    return ".".join(path.relative_to(root).with_suffix("").parts)


def targets(path, root, names):
    package = list(path.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level] + (node.module.split(".") if node.module else [])
            actual = {".".join([*base, alias.name]) for alias in node.names} & names
            yield from actual or {".".join(base)} & names


def find_cycle(graph):
    """Return an import cycle as a list of modules; [] if there is none."""
    done = set()

    def visit(module, path):
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        done.add(module)
        return next(filter(None, (visit(next_one, [*path, module]) for next_one in sorted(graph[module]))), [])

    return next(filter(None, (visit(module, []) for module in sorted(graph))), [])


@pytest.mark.parametrize("package", ["CTSliceSynthesisEngine", "CTSliceSynthesisLib"])
def test_there_are_no_import_cycles(package):
    graph = graph_of(ENGINE.parent / package)
    assert sum(map(len, graph.values())) > 50
    graph.pop("__init__")  # names the public API and imports it on first access
    assert find_cycle({module: actual - {"__init__"} for module, actual in graph.items()}) == []


def test_a_cycle_is_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


@pytest.mark.parametrize("folder", LEVELS)
def test_layers_import_only_from_lower_layers(folder):
    level = {name: height for height, names in enumerate(LEVELS[folder].split("|")) for name in names.split()}
    upward = [
        f"{module} imports {target}"
        for module, actual in graph_of(ENGINE.parent / folder).items()
        for target in actual
        if (group := module.split(".")[0]) in level and (other := target.split(".")[0]) not in (group, "__init__")
        if level.get(other, len(level)) >= level[group]
    ]
    assert upward == []


@pytest.mark.parametrize("package", ["CTSliceSynthesisEngine", "CTSliceSynthesisLib"])
def test_module_names_are_unique_within_a_package(package):
    names = [path.stem for path in (ENGINE.parent / package).rglob("*.py") if path.stem != "__init__"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_files_stay_under_350_lines_and_functions_under_60():
    long = []
    for top in ("CTSliceSynthesis", "Testing"):
        for path in (REPOSITORY / top).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            long += [f"{path.name}: {len(text.splitlines())} lines"] if len(text.splitlines()) >= 350 else []
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 >= 60:
                    long.append(f"{path.name}: {node.name} has {node.end_lineno - node.lineno + 1} lines")
    assert not long
