"""Process every scan of a folder in turn; a scan that fails does not stop the batch.

    Slicer --no-main-window --python-script .../CTSliceSynthesisLib/Batch.py IN OUT --factor 4

or from the console:

    from CTSliceSynthesisLib import Batch
    Batch.increaseFolder("IN", "OUT", factor=4)

Volume files are loaded by slicer.util.loadVolume, DICOM series through a temporary DICOM database. Results are
written to OUT as NRRD under the scans' relative names; existing ones are skipped, so an interrupted batch continues where it
stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import slicer

if __name__ == "__main__":  # run by Slicer as a script: the module's folder may not be on the path
    sys.path.insert(0, str(Path(__file__).parents[1]))

from CTSliceSynthesisEngine.errors import REASONS, SynthesisError
from CTSliceSynthesisEngine.jobs.increase_all import Task, find_tasks
from CTSliceSynthesisEngine.jobs.result_folder import create
from slicer.i18n import tr as _

from CTSliceSynthesisLib.Scene import VolumeNodes

PART = ".part.nrrd"
"""Suffix of a file that is still being written."""


@dataclass(frozen=True)
class Summary:
    """Result of a batch.

    Attributes:
        done, skipped: number of scans.
        failures: one sentence per failed scan.
    """

    done: int
    skipped: int
    failures: tuple[str, ...]


def increaseFolder(source: str | Path, target: str | Path, say: Callable[[str], None] = print, **options) -> Summary:
    """Increase the slice resolution of every scan below a folder.

    Args:
        source: input folder, searched recursively.
        target: output folder; created if missing.
        say: called with one line per scan.
        options: see CTSliceSynthesisLib.Parameters.Options.

    Raises:
        SynthesisError: no scan was found, or an output folder cannot be created.
    """
    from CTSliceSynthesis import CTSliceSynthesisLogic

    logic, failures, skipped = CTSliceSynthesisLogic(), [], 0
    tasks = find_tasks(Path(source), Path(target))
    for number, task in enumerate(tasks, start=1):
        name = _("{number} of {count}: {path}").format(number=number, count=len(tasks), path=task.source)
        if task.output.exists():
            skipped += 1
            say(_("{name}: already exists").format(name=name))
            continue
        try:
            increaseOne(logic, task, options)
            say(_("{name}: done").format(name=name))
        except (RuntimeError, SynthesisError, OSError, MemoryError) as error:
            failures.append(f"{task.source}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            say(_("{name}: failed").format(name=name))
    return Summary(len(tasks) - skipped - len(failures), skipped, tuple(failures))


def increaseOne(logic, task: Task, options: dict) -> None:
    """Load a scan, increase its resolution, save the result atomically, and remove both from the scene."""
    create(task.output.parent)
    part = task.output.with_name(task.output.stem + PART)
    try:
        with sceneRestored(), loadScan(task) as thick:
            thin = logic.increaseResolution(thick, **options)
            VolumeNodes.save(thin, part)
        part.replace(task.output)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def sceneRestored() -> Iterator[None]:
    """Remove the data nodes that are added to the scene inside the context."""
    before = {node.GetID() for node in dataNodes()}
    try:
        yield
    finally:
        for node in dataNodes():
            if node.GetID() not in before:
                slicer.mrmlScene.RemoveNode(node)


def dataNodes() -> list:
    """Return the volumes and transforms of the scene, with their display and storage nodes."""
    kinds = ("vtkMRMLVolumeNode", "vtkMRMLTransformNode", "vtkMRMLDisplayNode", "vtkMRMLStorageNode")
    return [node for kind in kinds for node in slicer.util.getNodesByClass(kind) if not node.GetSingletonTag()]


@contextmanager
def loadScan(task: Task) -> Iterator:
    """Load a scan into the scene; inside the context its DICOM headers (slice thickness) can be queried."""
    if task.source.is_dir():
        from DICOMLib import DICOMUtils

        with DICOMUtils.TemporaryDICOMDatabase() as database:
            yield dicomVolume(DICOMUtils, database, task)
    else:
        yield slicer.util.loadVolume(str(task.source))


def dicomVolume(utils, database, task: Task):
    """Load a DICOM series as the DICOM module does: gantry tilt and uneven spacing become a transform.

    Args:
        utils: Slicer's DICOMUtils.
        database: an empty DICOM database.
        task: its source is the folder of the series.
    """
    utils.importDicom(str(task.source), database)
    studies = [study for patient in database.patients() for study in database.studiesForPatient(patient)]
    series = [uid for study in studies for uid in database.seriesForStudy(study)]
    selected = [uid for uid in series if task.series is None or uid == task.series.partition("#")[0]]
    if not selected:
        raise RuntimeError(_("Slicer's DICOM database found no series in it."))
    nodes = [slicer.mrmlScene.GetNodeByID(identity) for identity in utils.loadSeriesByUID(selected)]
    volumes = [node for node in nodes if node is not None and node.IsA("vtkMRMLScalarVolumeNode")]
    if len(volumes) != 1:
        raise RuntimeError(_("Slicer made {count} volumes of it, and one is needed.").format(count=len(volumes)))
    return volumes[0]


def main(arguments: Sequence[str]) -> int:
    """Run as a script; return 0 if every scan succeeded, else the exit status of "bad-input"."""
    parser = argparse.ArgumentParser(
        prog="Batch.py", description=_("Increase the slice resolution of every scan of a folder.")
    )
    parser.add_argument("source", metavar="IN")
    parser.add_argument("target", metavar="OUT")
    parser.add_argument("--factor", type=int)
    parser.add_argument("--spacing", type=float)
    parser.add_argument("--isotropic", action="store_true")
    parser.add_argument("--thickness", type=float)
    for name in ("method", "model", "device"):
        parser.add_argument(f"--{name}")
    options = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        summary = increaseFolder(**options)
    except SynthesisError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print(
        _("{done} done, {skipped} already existed, {failed} failed.").format(
            done=summary.done, skipped=summary.skipped, failed=len(summary.failures)
        )
    )
    for sentence in summary.failures:
        print(sentence, file=sys.stderr)
    return REASONS["bad-input"] if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
