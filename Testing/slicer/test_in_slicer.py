"""Runs in real Slicer through ctest, without PyTorch and without a main window."""

import sys
import unittest

import slicer


class TestInSlicer(unittest.TestCase):
    """What the harness imitates, on the real thing."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def test_loading_the_module_loads_no_pytorch(self) -> None:
        self.assertTrue(slicer.util.getModule("CTSliceSynthesis"))
        self.assertNotIn("torch", sys.modules)

    def test_the_panel_opens_and_says_what_is_missing(self) -> None:
        panel = slicer.util.getModuleWidget("CTSliceSynthesis")
        panel.enter()
        self.assertFalse(panel.ui.runButton.enabled)
        self.assertEqual(panel.ui.runButton.toolTip, "Choose an input volume.")
        panel.exit()

    def test_a_script_gets_a_thin_volume(self) -> None:
        from CTSliceSynthesis import CTSliceSynthesisLogic, thickSample

        thick = thickSample(4)
        thin = CTSliceSynthesisLogic().increaseResolution(thick, factor=4, method="cubic")
        before, after = slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)
        self.assertTrue((after[::4] == before).all())


if __name__ == "__main__":
    unittest.main()
