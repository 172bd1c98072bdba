"""The scans of a cohort: which are used, omitted or held out, and their cache."""

import numpy as np
import pytest
from cohorts import noise, write
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.training.scans.cohort import survey
from CTSliceSynthesisEngine.training.scans.scan import MIN_PIXELS, halved
from CTSliceSynthesisEngine.training.scans.scan_cache import ScanCache
from CTSliceSynthesisEngine.training.scans.source_table import Source, read_sources
from CTSliceSynthesisEngine.volume import files
from CTSliceSynthesisEngine.volume.grid import Grid
from CTSliceSynthesisEngine.volume.volume import Volume


@pytest.fixture
def look(tmp_path):
    """Run `survey` with a private cache: return the cohort, and its lines by scan."""

    def actual(cohort, holdout=("none",), sources=None, **options):
        said = []
        result = survey(cohort, ScanCache(tmp_path / "cache"), sources or {}, holdout, say=said.append, **options)
        assert said == [entry.line for entry in result.entries]
        return result, dict(line.split(": ", 1) for line in said)

    return actual


def names(scans):
    return [scan.name for scan in scans]


def test_every_scan_gets_a_line_with_its_use_and_the_reason(folder, look, make_volume):
    write(folder / "deep" / "er" / "thick.nii.gz", noise(3), spacing=8.0)
    write(folder / "short.mha", noise(4, slices=7))
    write(folder / "narrow.nrrd", noise(5, side=MIN_PIXELS - 1))
    write(folder / "mr.nrrd", noise(6, low=0))
    (folder / "cut.nrrd").write_bytes(b"NRRD0004\n")
    (folder / "notes.txt").write_text("not a scan")
    cohort, lines = look(folder)
    assert lines["one"] == "dense, 10 slices every 2.5 mm, 2.5 mm thick"
    assert lines["thick"] == "thick, 10 slices every 8 mm, of unknown thickness, taken as that"
    assert lines["short"].startswith("left out, at least 8 slices of 96 x 96 pixels are needed, it has 7 x 96 x 96")
    assert lines["narrow"].endswith("it has 10 x 95 x 95")
    assert "do not look like HU: only CT" in lines["mr"]
    assert lines["cut"].startswith("left out, ") and "cut.nrrd" in lines["cut"]
    assert set(lines) == {"one", "two", "three", "thick", "short", "narrow", "mr", "cut"}
    assert names(cohort.learned_from) == ["one", "thick", "three", "two"]
    assert look(folder, dense_spacing=0.0)[1]["one"].startswith("thick, ")


def test_voxels_and_their_half_size_copy_are_cached_unchanged(folder, look):
    cohort, _ = look(folder)
    scan = next(scan for scan in cohort.learned_from if scan.name == "one")
    assert isinstance(scan.voxels.base, np.memmap)
    assert np.array_equal(scan.voxels, noise(0))
    assert (scan.slice_spacing, scan.pixel_spacing, scan.thickness) == (2.5, 0.8, 2.5)
    assert isinstance(scan.half.voxels.base, np.memmap)
    assert np.array_equal(scan.half.voxels, halved(noise(0)))
    assert scan.half.pixel_spacing == 1.6


def test_dicom_series_are_found_and_patients_distinguished(tmp_path, look, write_dicom_stack):
    places = [(0, 0, 2.0 * z) for z in range(10)]
    for patient, series in (("first", "1.2.5"), ("first", "1.2.6"), ("second", "1.2.7")):
        voxels = noise(int(series[-1]))
        write_dicom_stack(
            tmp_path / "dicom" / series, places, series=series, pixels=lambda z, v=voxels: v[z], PatientID=patient
        )
    cohort, lines = look(tmp_path / "dicom", holdout=("1.2.5",))
    assert lines["1.2.5"] == "held out, 10 slices every 2 mm, 5 mm thick"
    assert lines["1.2.6"] == "left out, it shows the same patient as 1.2.5, held out"
    assert names(cohort.learned_from) == ["scan 3"]  # cards are shared, and folder names may contain patient names
    assert "first" not in "".join(path.read_text() for path in (tmp_path / "cache").glob("*.json"))


def test_a_list_has_one_scan_per_line_and_bad_ones_are_skipped(folder, look, tmp_path):
    (tmp_path / "list.txt").write_text("# my scans\nscans/one.nrrd\n\nscans/gone.nrrd\nscans/two.nrrd\n")
    cohort, lines = look(tmp_path / "list.txt")
    assert names(cohort.learned_from) == ["one", "two"]
    assert "gone.nrrd cannot be opened" in lines["gone"]


def test_scans_with_the_same_name_are_identified_by_path(folder, look):
    write(folder / "deep" / "one.nrrd", noise(9))
    cohort, lines = look(folder)
    assert [name for name in lines if name.endswith("one.nrrd")] == [
        str(folder / "deep" / "one.nrrd"), str(folder / "one.nrrd"),
    ]  # fmt: skip
    assert not [name for name in names(cohort.learned_from) if "deep" in name]


def test_the_same_slices_under_another_name_count_once(folder, look):
    write(folder / "zz_copy.mha", noise(0))
    write(folder / "zz_part.nii.gz", noise(0)[1::1][:9], spacing=5.0)
    cohort, lines = look(folder)
    assert lines["zz_copy"] == "left out, it has the same slices as one"
    assert lines["zz_part"] == "left out, it has the same slices as one"
    assert names(cohort.learned_from) == ["one", "three", "two"]


def test_a_held_out_scan_that_is_also_in_the_cohort_under_another_name_is_not_learned_from(folder, look, tmp_path):
    write(tmp_path / "outside.nrrd", noise(1))
    cohort, lines = look(folder, holdout=(str(tmp_path / "outside.nrrd"),))
    assert lines["two"].startswith("left out, it has the same slices as ")
    assert names(cohort.learned_from) == ["one", "three"]
    assert len(cohort.held_out) == 1


def test_by_default_a_tenth_of_the_patients_is_held_out_by_seed(folder, look, tmp_path):
    sources = {name: Source(name, 2.5, "", "", patient="same") for name in ("one", "two")}
    for seed in range(6):
        cohort, _ = look(folder, holdout=(), sources=sources, seed=seed)
        held = names(cohort.held_out)
        assert held in (["three"], ["one", "two"])
        assert sorted(held + names(cohort.learned_from)) == ["one", "three", "two"]
        assert held == names(look(folder, holdout=(), sources=sources, seed=seed)[0].held_out)
    for number in range(20):
        write(tmp_path / "many" / f"{number}.nrrd", noise(number, slices=8))
    assert len(look(tmp_path / "many", holdout=())[0].held_out) == 2


def test_with_one_patient_the_last_slices_are_held_out_with_a_remark(tmp_path, look):
    write(tmp_path / "one" / "only.nrrd", noise(0, slices=40))
    cohort, _ = look(tmp_path / "one", holdout=())
    assert "There is one patient only" in cohort.remark
    assert "the last 10 of 40 slices of only instead" in cohort.remark
    assert np.array_equal(cohort.learned_from[0].voxels, noise(0, slices=40)[:28])
    assert np.array_equal(cohort.held_out[0].voxels, noise(0, slices=40)[30:])
    assert np.array_equal(cohort.held_out[0].half.voxels, halved(noise(0, slices=40))[30:])


def test_a_single_short_scan_is_used_for_training_without_evaluation(tmp_path, look):
    write(tmp_path / "one" / "only.nrrd", noise(0, slices=12))
    cohort, _ = look(tmp_path / "one", holdout=())
    assert (len(cohort.learned_from), cohort.held_out) == (1, [])
    assert "too few slices" in cohort.remark and "nothing is measured" in cohort.remark


@pytest.mark.parametrize(
    ("holdout", "word"), [(("four",), "four to hold out is not a scan"), (("short",), "short cannot be held out")]
)
def test_a_scan_that_cannot_be_held_out_is_refused(folder, look, holdout, word):
    write(folder / "short.nrrd", noise(4, slices=7))
    with pytest.raises(SynthesisError, match=word) as caught:
        look(folder, holdout=holdout)
    assert caught.value.reason == "bad-input"


def test_holding_out_every_scan_leaves_none_to_learn_from(folder, look):
    with pytest.raises(SynthesisError, match="none to learn from"):
        look(folder, holdout=("one", "two", "three"))


@pytest.mark.parametrize("text", ["", "scan,source\nfirst,x\n", "scan,thickness_mm,source,licence\nfirst,thin,x,y\n"])
def test_a_list_of_sources_with_other_columns_is_refused(tmp_path, text):
    (tmp_path / "sources.csv").write_text(text)
    with pytest.raises(SynthesisError, match="columns scan, thickness_mm, source and licence") as caught:
        read_sources(tmp_path / "sources.csv")
    assert caught.value.reason == "bad-input"


def test_sources_give_the_thickness_and_tell_patients_apart(tmp_path, folder, look):
    table = "scan,thickness_mm,source,licence,patient\none,1.5,a phantom,CC0,p1\ntwo,2.5,a phantom,CC0,p1\n"
    (tmp_path / "sources.csv").write_text(table)
    sources = read_sources(tmp_path / "sources.csv")
    cohort, lines = look(folder, holdout=("two",), sources=sources)
    assert lines["one"] == "left out, it shows the same patient as two, held out"
    assert look(folder, sources=sources)[0].learned_from[0].thickness == 1.5
    assert names(cohort.learned_from) == ["three"]


def test_own_results_are_never_used_for_training(folder, look):
    grid = Grid(noise(8).shape[::-1], np.diag([0.8, 0.8, 2.5, 1.0]), 2, 2.5)
    files.write(Volume(noise(8), grid), folder / "thin.nrrd", header={"CTSliceSynthesis.method": "three-view"})
    cohort, lines = look(folder)
    assert "nothing is learned from estimates" in lines["thin"]
    assert names(cohort.learned_from) == ["one", "three", "two"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_and_tables_from_office_programs_are_read(folder, look, tmp_path, encoding):
    (tmp_path / "list.txt").write_text("scans/one.nrrd\r\nscans/two.nrrd\r\n", encoding=encoding, newline="")
    cohort, _ = look(tmp_path / "list.txt")
    assert names(cohort.learned_from) == ["one", "two"]
    rows = "scan;thickness_mm;source;licence\r\none;1.5;Klinik, Straße;CC BY\r\n"
    for text in (rows, 'scan,thickness_mm,source,licence\r\none,1.5,"Klinik, Straße",CC BY\r\n'):
        (tmp_path / "table.csv").write_text(text, encoding=encoding, newline="")
        assert read_sources(tmp_path / "table.csv")["one"] == Source("one", 1.5, "Klinik, Straße", "CC BY")
