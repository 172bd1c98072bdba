"""The section “Export to DICOM”: patient, folder and messages."""

import pydicom
import pytest


@pytest.fixture
def ui(panel, logic, makeVolume):
    """The widgets of the section, unfolded, with a result that has no DICOM files."""
    scan = makeVolume()
    panel._parameters.afterVolume = logic.increaseResolution(scan, factor=2, method="cubic")
    found = panel.sections["Export"].ui
    found.exportSection.collapsed = False
    yield found
    found.exportSection.collapsed = True
    found.patientEdit.text = found.patientNameEdit.text = ""
    found.exportDoubtsBox.checked = False


def finish(harness, panel):
    harness.wait(lambda: not panel.logic.exporting.isRunning)


def test_the_patient_is_requested_and_the_series_gets_its_own_folder(harness, panel, ui, tmp_path):
    assert ui.patientEdit.enabled and ui.patientEdit.placeholderText == "not known: fill in"
    ui.patientEdit.text, ui.patientNameEdit.text = " P1 ", "Doe^Jane"
    harness.choose(tmp_path)
    ui.exportButton.click()
    assert ui.exportButton.text == "Cancel"
    finish(harness, panel)
    assert ui.exportButton.text == "Export to DICOM…"
    folder = tmp_path / "scan x2 cubic"
    assert ui.exportMessage.text == f"“scan x2 cubic” was exported to {folder}: 15 slices, 8 of them acquired."
    image = pydicom.dcmread(folder / "IM_00001.dcm")
    assert (image.PatientID, str(image.PatientName)) == ("P1", "Doe^Jane")
    harness.choose(tmp_path)
    ui.exportButton.click()
    finish(harness, panel)
    assert len(list((tmp_path / "scan x2 cubic 2").iterdir())) == 15


def test_no_patient_is_invented_and_the_reason_is_shown(harness, panel, ui, tmp_path):
    seen = []
    harness.choose(tmp_path)
    harness.answer("Ok", seen)
    ui.exportButton.click()
    finish(harness, panel)
    sentence = "does not say who that is: fill in the patient's identifier and name."
    assert ui.exportMessage.text.endswith(sentence)
    assert any(sentence in text for text in seen)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_starts_and_a_cancel_leaves_nothing(harness, panel, ui, tmp_path):
    harness.choose("")
    ui.exportButton.click()
    assert not panel.logic.exporting.isRunning
    ui.patientEdit.text, ui.patientNameEdit.text = "P1", "N"
    harness.choose(tmp_path)
    ui.exportButton.click()
    ui.exportButton.click()
    assert ui.exportMessage.text == "The export was canceled; nothing was written."
    assert not list(tmp_path.iterdir())


def test_only_results_can_be_exported(panel, ui, makeVolume):
    panel._parameters.afterVolume = makeVolume(name="other")
    assert not ui.exportButton.enabled
    assert "“other” is not a result of this module" in ui.exportButton.toolTip
    panel._parameters.afterVolume = None
    assert "Choose a result of this module." in ui.exportButton.toolTip


def test_the_patient_is_not_requested_if_the_dicom_files_contain_it(panel, ui, monkeypatch, tmp_path):
    import slicer
    from CTSliceSynthesisLib.Scene import Origin

    (tmp_path / "1.dcm").touch()

    class Database:
        """Stub of the DICOM database, which needs the application."""

        def fileForInstance(self, uid):
            return str(tmp_path / f"{uid}.dcm")

        def instanceValue(self, uid, tag):
            return ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    scan = Origin.companion(panel._parameters.afterVolume, Origin.SOURCE)
    scan.SetAttribute("DICOM.instanceUIDs", "1")
    ui.exportSection.collapsed = True
    ui.exportSection.collapsed = False
    assert not ui.patientEdit.enabled
    assert ui.patientEdit.placeholderText == "as in the scan's DICOM files"
    scan.SetAttribute("DICOM.instanceUIDs", "1 2")  # one of the files is missing
    ui.exportSection.collapsed = True
    ui.exportSection.collapsed = False
    assert ui.patientEdit.enabled


def test_typed_patient_data_are_cleared_with_the_scene(harness, panel, ui):
    ui.patientEdit.text, ui.patientNameEdit.text = "P1", "N"
    harness.closeScene()
    assert (ui.patientEdit.text, ui.patientNameEdit.text) == ("", "")
