"""Logics and panels are released: no reference in Qt, VTK or the application keeps them alive when they are unused."""

import gc
import sys
import weakref


def gone(harness, *references):
    """True if all of these weak references are dead."""
    harness.settle()
    gc.collect()
    return [reference() for reference in references] == [None] * len(references)


def test_an_unreferenced_logic_is_released(harness, makeVolume):
    logic = sys.modules["CTSliceSynthesis"].CTSliceSynthesisLogic()
    logic.increaseResolution(makeVolume(), factor=2, method="cubic")
    tasks = (logic.session, logic.checking, logic.training, logic.inspection, logic.exporting, logic.transfer)
    parts = [weakref.ref(part) for part in (logic, *tasks)]
    del tasks
    del logic
    assert gone(harness, *parts)


def test_a_run_continues_without_its_logic_and_releases_everything_when_it_ends(harness, makeVolume):
    outcomes = []
    logic = sys.modules["CTSliceSynthesis"].CTSliceSynthesisLogic()
    logic.increaseResolution(
        makeVolume(), factor=2, method="cubic", waitForCompletion=False, onFinished=outcomes.append
    )
    session = weakref.ref(logic.session)
    del logic
    gc.collect()
    assert session() is not None  # the timer keeps it alive while the child runs
    harness.wait(lambda: outcomes)
    assert outcomes[0].output.GetName() == "scan x2 cubic"
    outcomes.clear()
    assert gone(harness, session)


def test_a_reload_releases_the_old_panel_and_its_contents(harness, panel, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    panel._parameters.method = "cubic"
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    old = slicer = harness.slicer
    old = slicer.modules.CTSliceSynthesisWidget
    parts = [old, old.logic, old.logic.session, old.labels, *old.panels, old.sections["Compare"].comparison]
    parts = [weakref.ref(part) for part in parts]
    old.onReload()
    del old
    kept = [reference for reference in parts if reference() is not panel]
    assert slicer.modules.CTSliceSynthesisWidget is not panel
    harness.settle()
    panel.__dict__.clear()  # the test itself references the old panel
    assert gone(harness, *kept)
