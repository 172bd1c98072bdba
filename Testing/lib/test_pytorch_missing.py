"""Without PyTorch: what the panel and scripts say, and installation on one confirmation."""

import sys
from types import SimpleNamespace

import pytest
from test_panel_run import choose


class PyTorchUtilsLogic:
    """Stub of the PyTorch extension, which would download: records its arguments, and fails or succeeds."""

    asked: list = []  # noqa: RUF012
    fails = False

    def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
        self.asked.append((askConfirmation, torchVersionRequirement))
        if self.fails:
            raise RuntimeError("no network")
        sys.modules.pop("torch", None)


@pytest.fixture
def withoutTorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    PyTorchUtilsLogic.asked, PyTorchUtilsLogic.fails = [], False


@pytest.fixture
def extension(monkeypatch, withoutTorch):
    module = SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic, __spec__=object())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


def test_without_pytorch_the_panel_opens_plans_and_interpolates(harness, panel, makeVolume, withoutTorch):
    choose(panel, makeVolume())
    assert panel.ui.runButton.enabled
    choose(panel, panel._parameters.inputVolume, method="cubic")
    harness.click(panel.ui.runButton)
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x2 cubic")


def test_without_the_pytorch_extension_the_message_says_what_to_install(harness, panel, makeVolume, withoutTorch):
    choose(panel, makeVolume())
    seen = []
    harness.answer("Ok", seen)
    harness.click(panel.ui.runButton)
    assert "Install the extension “PyTorch”" in seen[0]
    assert "pip_install('--no-index --find-links /path/to/wheels torch')" in seen[0]
    assert "Cubic" in seen[0]
    assert not panel.logic.session.isRunning


def test_declining_installs_and_starts_nothing(harness, panel, makeVolume, extension):
    choose(panel, makeVolume())
    seen = []
    harness.answer("Cancel", seen)
    harness.click(panel.ui.runButton)
    assert "PyTorch>=2.10" in seen[0].replace(" ", "")
    assert "0.2 GB" in seen[0]
    assert "nothing was started" in panel.ui.messageLabel.text
    assert len(seen) == 1  # no pop-up after declining
    assert PyTorchUtilsLogic.asked == []


def test_one_confirmation_installs_and_the_run_starts(harness, panel, makeVolume, extension):
    choose(panel, makeVolume())
    harness.answer("Ok")
    harness.click(panel.ui.runButton)
    assert PyTorchUtilsLogic.asked == [(False, ">=2.10")]  # the extension does not ask a second time
    assert panel.logic.session.isRunning
    harness.wait(lambda: not panel.logic.session.isRunning)
    assert harness.slicer.util.getNode("scan x2")


def test_a_failed_installation_shows_the_reason_and_the_remedy(harness, panel, makeVolume, extension):
    PyTorchUtilsLogic.fails = True
    choose(panel, makeVolume())
    seen = []
    harness.answer("Ok", seen)
    harness.answer("Ok", seen)
    harness.click(panel.ui.runButton)
    assert "could not be installed (no network)" in seen[1]
    assert "find-links /path/to/wheels" in seen[1]
    assert "Install the extension" not in seen[1]  # it is installed
    assert len(seen) == 2


def test_a_script_is_never_asked(harness, logic, makeVolume, extension):
    with pytest.raises(RuntimeError, match="needs PyTorch"):
        logic.increaseResolution(makeVolume(), factor=2)
    assert PyTorchUtilsLogic.asked == []
