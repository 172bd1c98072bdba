"""Every name of Slicer, Qt and CTK that the module uses exists: in slicer-core, in Qt,
or in the tables below, which follow the documentation of Slicer 5.10. Also import rules of the Slicer side."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PySide6 import QtCore, QtGui, QtWidgets

MODULE = Path(__file__).parents[2] / "CTSliceSynthesis"
LIB = MODULE / "CTSliceSynthesisLib"
SOURCES = [MODULE / "CTSliceSynthesis.py", *sorted(LIB.rglob("*.py"))]

DOCUMENTED = {
    # qSlicerApplication and its bases (Base/QTCore, Base/QTGUI)
    "slicer.app": {
        "connect", "disconnect", "processEvents", "layoutManager", "temporaryPath", "testingEnabled", "setOverrideCursor",
        "restoreOverrideCursor", "applicationName", "slicerUserSettingsFilePath",
    },
    # qSlicerLayoutManager, qMRMLLayoutManager
    "manager": {
        "setLayout", "sliceWidget", "layout", "sliceViewNames", "threeDWidget", "mrmlSliceLogics", "connect", "plotWidget",
    },
    # modules of Slicer's own, by name
    "slicer.modules": {"colors", "plots", "volumerendering", "sequences"},
    # qMRMLNodeComboBox
    "qMRMLNodeComboBox": {"currentNode", "setCurrentNode", "currentNodeID", "setMRMLScene", "sortFilterProxyModel"},
    # ctkCollapsibleButton
    "ctkCollapsibleButton": {"collapsed", "text"},
    # slicer: set by the application, not part of slicer-core
    "slicer": {"app", "modules", "util", "mrmlScene", "i18n", "ScriptedLoadableModule", "parameterNodeWrapper"},
    "slicer.i18n": {"tr", "translate"},
    "slicer.ScriptedLoadableModule": {
        "ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest", "ScriptedLoadableModuleWidget",
    },
    "slicer.parameterNodeWrapper": {"parameterNodeWrapper", "Choice", "WithinRange"},
}  # fmt: skip
LATER_THAN_5_10 = {"packaging", "launchConsoleProcess"}


def chains(tree):
    """(line, "a.b.c") for every dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield node.lineno, ".".join([inner.id, *reversed(parts)])


def trees():
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]


def used(prefix):
    """Names used directly behind a dotted prefix, or imported from it."""
    names = set()
    for _, tree in trees():
        for _, chain in chains(tree):
            if chain.startswith(prefix + "."):
                names.add(chain.removeprefix(prefix + ".").partition(".")[0])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == prefix:
                names |= {alias.name for alias in node.names}
    return names


def test_names_of_slicer_are_real_or_documented(harness):
    import slicer

    found = used("slicer")
    assert {"mrmlScene", "vtkMRMLScalarVolumeNode", "app"} <= found
    unknown = {name for name in found - DOCUMENTED["slicer"] if not name.startswith("vtk") or not hasattr(slicer, name)}
    assert not unknown
    assert not found & LATER_THAN_5_10


@pytest.mark.parametrize("prefix", ["slicer.i18n", "slicer.ScriptedLoadableModule", "slicer.parameterNodeWrapper"])
def test_names_of_the_imitated_modules_are_documented(prefix):
    assert used(prefix)
    assert used(prefix) <= DOCUMENTED[prefix]


def test_names_of_slicer_util_are_real(harness):
    import slicer

    found = used("slicer.util")
    assert {"arrayFromVolume", "loadUI"} <= found
    assert [name for name in found if not hasattr(slicer.util, name)] == []
    assert not found & LATER_THAN_5_10


@pytest.mark.parametrize("prefix", ["slicer.app", "manager", "slicer.modules"])
def test_names_of_the_application_are_documented(prefix):
    assert used(prefix)
    assert used(prefix) <= DOCUMENTED[prefix]


def test_qt_classes_exist_in_qt():
    found = used("qt")
    assert {"QTimer", "QSettings"} <= found
    assert [name for name in found if not any(hasattr(part, name) for part in (QtCore, QtGui, QtWidgets))] == []


def test_vtk_style_methods_exist_in_some_class_of_vtk_or_slicer(harness):
    import SimpleITK
    import slicer
    import vtk

    known = (
        set(dir(vtk.vtkImageData)) | set(dir(vtk.vtkMatrix4x4)) | set(dir(vtk.vtkPointData)) | set(dir(vtk.vtkCommand))
    )
    known |= set(dir(SimpleITK.Image)) | set(dir(vtk.vtkCornerAnnotation)) | {"SampleDataLogic"}
    known |= set(dir(vtk.vtkGeneralTransform)) | set(dir(vtk.vtkDoubleArray)) | set(dir(vtk.vtkTable))
    known |= {"TemporaryDICOMDatabase"}  # DICOMLib/DICOMUtils.py
    known |= set(dir(vtk.vtkLookupTable))
    for name in dir(slicer):
        if name.startswith(("vtkMRML", "vtkSlicer", "vtkCoded", "vtkSegment")):
            known |= set(dir(getattr(slicer, name)))
    own = {"Session", "Run", "Outcome", "IncreaseError", "Worker", "Options", "ParameterNode", "Tracker", "Progress"}
    missing = [
        f"{path.name}:{line} {chain}"
        for path, tree in trees()
        for line, chain in chains(tree)
        if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w*", name := chain.rpartition(".")[2]) and name not in known | own
    ]
    own_modules = {path.stem for path in SOURCES}
    python = (
        "qt.",
        "argparse.",
        "subprocess.",
        "signal.",
        "Session.",
        "Path.",
        "Parameters.",
        "VolumeNodes.",
        "SimpleITK.",
        "slicer.util.",
    )
    allowed = [m for m in missing if m.split()[1].startswith(python) or m.split()[1].split(".")[0] in own_modules]
    standard = [m for m in missing if m.endswith(("TestCase", "PackageNotFoundError"))]
    assert set(missing) == set(allowed) | set(standard)


def widgetClasses():
    """Name of each widget -> its class, of all .ui files; no name stands for two classes."""
    found = {}
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui")):
        for widget in ElementTree.parse(path).getroot().iter("widget"):
            name, kind = widget.attrib["name"], widget.attrib["class"]
            assert found.setdefault(name, kind) == kind, f"{path.name}: {name}"
    return found


def test_methods_used_on_widgets_exist_in_their_classes():
    classes, checked = widgetClasses(), 0
    for path, tree in trees():
        for line, chain in chains(tree):
            match = re.fullmatch(r"(?:self\.)?(?:ui|panel\.ui)\.(\w+)(?:\.(\w+))?", chain)
            if not match:
                continue
            widget, attribute = match.groups()
            assert widget in classes, f"{path.name}:{line}: the .ui file has no {widget}"
            if attribute is None or attribute == "connect":
                continue
            checked += 1
            kind = getattr(QtWidgets, classes[widget], QtWidgets.QWidget)
            has = hasattr(kind, attribute) or kind.staticMetaObject.indexOfProperty(attribute) >= 0
            assert has or attribute in DOCUMENTED[classes[widget]], f"{path.name}:{line} {chain}"
    assert checked > 20


ARROWS = {
    "Worker": set(),
    "ChildProcess": set(),
    "Progress": {"slicer"},
    "Messages": {"slicer", "qt"},
    "Outcome": set(),
    "Task": {"slicer", "qt", "CTSliceSynthesisEngine"},
    "Check": {"slicer", "CTSliceSynthesisEngine"},
    "DicomExport": {"slicer", "CTSliceSynthesisEngine"},
    "Inspection": {"slicer", "CTSliceSynthesisEngine"},
    "LabelTransfer": {"slicer", "vtk", "CTSliceSynthesisEngine"},
    "ModelCard": {"slicer"},
    "ModelFolder": {"slicer", "CTSliceSynthesisEngine"},
    "Training": {"slicer", "qt", "CTSliceSynthesisEngine"},
    "TrainingScans": {"slicer", "CTSliceSynthesisEngine"},
    "TrainingPlots": {"slicer", "vtk"},
    "LinkedViews": {"slicer", "qt", "vtk", "numpy", "CTSliceSynthesisEngine"},
    "Layouts": {"slicer"},
    "WorstPlaceMark": {"slicer", "vtk"},
    "SavedViews": {"slicer"},
    "Batch": {"CTSliceSynthesisLib", "slicer", "CTSliceSynthesis", "CTSliceSynthesisEngine", "DICOMLib"},
    "Parameters": {"slicer", "qt", "CTSliceSynthesisEngine"},
    "VolumeNodes": {"slicer", "vtk", "numpy", "SimpleITK", "CTSliceSynthesisEngine"},
    "Models": {"slicer", "CTSliceSynthesisEngine"},
    "Requirements": {"slicer", "CTSliceSynthesisEngine"},
    "Run": {"slicer", "vtk", "CTSliceSynthesisEngine"},
    "Session": {"slicer", "qt", "CTSliceSynthesisEngine"},
    "Origin": set(),
    "DrawnOnScan": {"slicer", "vtk", "numpy", "CTSliceSynthesisEngine"},
    "Results": {"slicer", "vtk", "CTSliceSynthesisEngine"},
    "SliceMarks": {"slicer", "vtk", "numpy"},
    "SampleScans": {"slicer", "SampleData"},
    "Logic": {"slicer"},
    "Sequences": {"slicer", "CTSliceSynthesisEngine"},
    "SequenceNodes": {"slicer"},
    "SliceKinds": {"slicer", "numpy"},
    "SavedNodeStates": {"slicer", "numpy"},
    "Comparison": {"slicer", "vtk"},
    "Difference": {"slicer", "vtk", "numpy", "CTSliceSynthesisEngine"},
    "ErrorOverlays": {"slicer", "vtk", "numpy"},
    "Rendering": {"slicer", "vtk"},
}
FOR_WIDGETS = {"slicer", "qt", "vtk", "numpy", "CTSliceSynthesisEngine"}
POP_UPS = {
    "errorDisplay",
    "warningDisplay",
    "infoDisplay",
    "confirmOkCancelDisplay",
    "confirmYesNoDisplay",
    "messageBox",
}


def test_the_slicer_side_imports_what_the_table_allows():
    forbidden = []
    for path in sorted(LIB.rglob("*.py")):
        allowed = FOR_WIDGETS if path.parent.name == "Widgets" else ARROWS.get(path.stem, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                tops = [node.module.partition(".")[0]]
            else:
                continue
            forbidden += [
                f"{path.name} imports {top}"
                for top in tops
                if top not in allowed and top not in sys.stdlib_module_names
            ]
    assert not forbidden


def test_pop_ups_come_from_messages_alone():
    for path, tree in trees():
        if path.stem != "Messages":
            names = {chain.rpartition(".")[2] for _, chain in chains(tree)}
            assert not names & POP_UPS, path.name


def test_no_file_of_the_panel_imports_pytorch_or_reaches_for_the_network():
    for _path, tree in trees():
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None)]
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not {str(m).partition(".")[0] for m in modules} & {
                    "torch",
                    "requests",
                    "urllib",
                    "http",
                    "socket",
                }


def test_every_remedy_of_the_engine_has_a_panel_text(harness):
    import importlib

    from CTSliceSynthesisEngine.errors import REMEDIES

    assert set(importlib.import_module("CTSliceSynthesisLib.Messages").REMEDIES) == set(REMEDIES)
