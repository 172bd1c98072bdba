"""Runs in real Slicer through ctest, without PyTorch and without a main window."""

import html
import re
import sys
import unittest

import slicer


def plain(tip: str) -> str:
    """A tool tip as a user reads it: Slicer has wrapped it in HTML."""
    return html.unescape(re.sub(r"<[^>]+>", "", tip))


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
        self.assertEqual(plain(panel.ui.runButton.toolTip), "Choose an input volume.")
        panel.exit()

    def test_what_the_panels_ask_of_slicer_is_there(self) -> None:
        self.assertTrue(slicer.app.slicerUserSettingsFilePath)
        layouts = slicer.vtkMRMLLayoutNode
        with_plot = slicer.modules.plots.logic().GetLayoutWithPlot(layouts.SlicerLayoutFourUpView)
        self.assertEqual(with_plot, layouts.SlicerLayoutFourUpPlotView)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, 1, 2, 3, slicer.vtkMRMLSliceNode.CenteredJumpSlice)

    def test_a_script_gets_a_thin_volume(self) -> None:
        from CTSliceSynthesis import CTSliceSynthesisLogic, thickSample

        thick = thickSample(4)
        thin = CTSliceSynthesisLogic().increaseResolution(thick, factor=4, method="cubic")
        before, after = slicer.util.arrayFromVolume(thick), slicer.util.arrayFromVolume(thin)
        self.assertTrue((after[::4] == before).all())

    def test_what_a_comparison_asks_of_slicer_is_there(self) -> None:
        for name in ("colors", "volumerendering", "sequences", "plots"):
            self.assertTrue(getattr(slicer.modules, name).logic())
        self.assertTrue(slicer.modules.volumerendering.logic().GetPresetByName("CT-Chest-Contrast-Enhanced"))
        view = slicer.vtkMRMLSliceNode()
        view.SetSlabReconstructionEnabled(True)
        view.SetSlabReconstructionThickness(10)
        self.assertEqual(view.GetSlabReconstructionThickness(), 10)

    def test_what_the_selectors_and_labels_ask_of_slicer_is_there(self) -> None:
        ui = slicer.util.getModuleWidget("CTSliceSynthesis").ui
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        model = ui.inputSelector.sortFilterProxyModel()
        model.hiddenNodeIDs = [node.GetID()]
        self.assertEqual(list(model.hiddenNodeIDs), [node.GetID()])
        self.assertEqual(ui.inputSelector.nodeCount(), 0)
        ui.planLabel.text = "A sentence that takes more than one line. " * 10
        self.assertGreater(ui.planLabel.heightForWidth(200), 2 * ui.planLabel.fontMetrics().height())
        model.hiddenNodeIDs = []

    def test_what_the_overlay_and_the_mark_ask_of_slicer_is_there(self) -> None:
        label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        label.CreateDefaultDisplayNodes()
        colours = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode")
        colours.SetTypeToUser()
        colours.SetNumberOfColors(2)
        colours.SetColor(1, "half", 1.0, 0.0, 0.0, 0.5)
        label.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
        table = label.GetDisplayNode().GetColorNode().GetLookupTable()
        self.assertAlmostEqual(table.GetTableValue(1)[3], 0.5, places=2)
        mark = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        mark.CreateDefaultDisplayNodes()
        self.assertTrue(mark.GetDisplayNode().GetVisibility())

    def test_sample_data_offers_the_thick_scan_without_the_network(self) -> None:
        import SampleData
        from CTSliceSynthesisLib.Scene import SampleScans

        SampleScans.register()
        self.assertEqual(SampleData.downloadSample("CTBodyThick").GetImageData().GetDimensions(), (192, 144, 26))


if __name__ == "__main__":
    unittest.main()
