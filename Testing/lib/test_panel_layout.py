"""Layout of the panel in the main window: respects the user's width and shows all text, also after switching modules."""

import pytest

WIDTH = 400  # pixels of the panel, its scroll bar included
LONG = "A sentence that goes on and on, over the hills and far away, until nobody knows any more how it began. " * 3


@pytest.fixture
def window(harness, panel):
    """The visible main window, with the panel at its usual width."""
    window = harness.slicer.util.mainWindow()
    window.resize(1280, 740)
    window.panel.setFixedWidth(WIDTH)
    window.show()
    settle(harness)
    window.panel.setMinimumWidth(0)
    window.panel.setMaximumWidth(16777215)
    settle(harness)
    yield window
    window.hide()


def settle(harness):
    for _ in range(5):
        harness.settle()


def shown(panel, kind):
    """The visible widgets of a kind, by name."""
    parts = [panel.ui, *(section.ui for section in panel.sections.values())]
    widgets = {name: widget for part in parts for name, widget in vars(part).items() if isinstance(widget, kind)}
    return {name: widget for name, widget in widgets.items() if widget.isVisible()}


def crushed(harness, panel):
    """Names of widgets that are lower than their minimum height."""
    qt = harness.qt
    kinds = (qt.QComboBox, qt.QPushButton, qt.QCheckBox, qt.QDoubleSpinBox)
    low = [name for name, widget in shown(panel, kinds).items() if widget.height < widget.minimumSizeHint().height()]
    labels = shown(panel, qt.QLabel)
    return low + [name for name, one in labels.items() if one.wordWrap and one.height < one.heightForWidth(one.width)]


def loose(harness, panel):
    """Names of word-wrapped labels that are higher than their text."""
    labels = shown(panel, harness.qt.QLabel)
    return [name for name, one in labels.items() if one.wordWrap and one.height > one.heightForWidth(one.width)]


def openAll(panel, collapsed=False):
    for section in panel.sections.values():
        for name, widget in vars(section.ui).items():
            if name.endswith("Section"):
                widget.collapsed = collapsed
    panel.ui.advancedSection.collapsed = collapsed


def test_nothing_is_crushed_after_a_switch_to_another_module_and_back(harness, panel, window, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    openAll(panel)
    try:
        for module in ("Data", "CTSliceSynthesis", "Volumes", "CTSliceSynthesis"):
            harness.slicer.util.selectModule(module)
            settle(harness)
        assert len(shown(panel, harness.qt.QPushButton)) > 8
        assert not crushed(harness, panel)
        assert not loose(harness, panel)
    finally:
        openAll(panel, collapsed=True)


@pytest.mark.parametrize("name", ["messageLabel", "planLabel", "stageLabel"])
def test_a_long_message_does_not_widen_the_panel_and_is_fully_visible(harness, panel, window, makeVolume, name):
    panel._parameters.inputVolume = makeVolume()
    settle(harness)
    before = window.panel.minimumSizeHint().width(), window.panel.width
    label = getattr(panel.ui, name)
    label.text, label.visible = LONG, True
    settle(harness)
    assert (window.panel.minimumSizeHint().width(), window.panel.width) == before
    assert before[0] <= WIDTH
    assert label.height >= label.heightForWidth(label.width) > 3 * label.fontMetrics().height()
    assert not crushed(harness, panel)
    label.text = "Short."
    settle(harness)
    assert label.minimumHeight < 2 * label.fontMetrics().height()
    label.visible = name == "planLabel"


def test_a_wider_panel_needs_fewer_lines(harness, panel, window, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    panel.ui.messageLabel.text, panel.ui.messageLabel.visible = LONG, True
    settle(harness)
    high = panel.ui.messageLabel.minimumHeight
    window.panel.setMinimumWidth(600)
    settle(harness)
    assert panel.ui.messageLabel.minimumHeight < high
    assert not crushed(harness, panel)
    assert not loose(harness, panel)
    window.panel.setMinimumWidth(0)
    panel.ui.messageLabel.visible = False


def test_nothing_is_cut_off_at_400_pixels_and_the_button_is_above_the_fold(harness, panel, window, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    openAll(panel)
    settle(harness)
    assert not loose(harness, panel)
    try:
        qt = harness.qt
        assert window.panel.width <= WIDTH
        for name, widget in shown(panel, (qt.QLabel, qt.QPushButton, qt.QCheckBox)).items():
            wraps = isinstance(widget, qt.QLabel) and widget.wordWrap
            assert wraps or widget.width >= widget.sizeHint().width(), name
        button = panel.ui.runButton
        assert button.mapTo(panel.parent, qt.QPoint(0, button.height)).y() < 400
    finally:
        openAll(panel, collapsed=True)


def test_closed_sections_stand_close_together(harness, panel, window, makeVolume):
    openAll(panel, collapsed=True)
    settle(harness)
    sections = [getattr(panel.sections[name].ui, f"{name.lower()}Section") for name in panel.sections]
    tops = [section.mapTo(panel.parent, harness.qt.QPoint(0, 0)).y() for section in sections]
    gaps = [below - above - section.height for above, below, section in zip(tops, tops[1:], sections, strict=False)]
    assert max(gaps) <= 4, gaps
    assert max(section.height for section in sections) <= 28


def test_a_check_scrolls_to_its_verdict(harness, panel, window, thickSample):
    panel._parameters.inputVolume = thickSample
    openAll(panel)
    try:
        ui, area = panel.sections["Check"].ui, window.panel.area
        settle(harness)
        area.verticalScrollBar().setValue(0)
        ui.checkButton.click()
        harness.wait(lambda: not panel.logic.checking.isRunning)
        settle(harness)
        top = ui.checkMessage.mapTo(area, harness.qt.QPoint(0, 0)).y()
        assert 0 <= top <= top + ui.checkMessage.height <= area.height
    finally:
        openAll(panel, collapsed=True)


def test_the_panel_states_next_to_the_button_that_slices_are_estimates(harness, panel, window, makeVolume):
    panel._parameters.inputVolume = makeVolume()
    settle(harness)
    notice, button = panel.ui.noticeLabel, panel.ui.runButton
    assert notice.text == "Synthesized slices are estimates; for research use."
    assert not notice.isHidden()
    assert 0 < notice.mapTo(panel.parent, harness.qt.QPoint(0, 0)).y() - button.mapTo(
        panel.parent, harness.qt.QPoint(0, button.height)
    ).y() < 40  # fmt: skip
