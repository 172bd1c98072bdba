"""The Slicer side: what lies between the panel, the scene and the engine.

    Logic          the way in for scripts: increase, check, train, export, carry segmentations along
    Session        one run from start to outcome; the one door for scripts and the panel
    Sequences      every frame of a sequence through that door; Batch: every scan of a folder
    Parameters     what the user chose: kept in the scene, or on this computer
    Messages       every pop-up

    Setup/         what a run needs: PyTorch (Requirements, the one place that installs) and a model
                   (Models; ModelFolder: those added here; ModelCard: their cards in words)
    Scene/         nodes: VolumeNodes (the one place that hands voxels over), SequenceNodes, Origin (how a result was made),
                   DrawnOnScan (segmentations and label maps that follow a scan), SampleScans, SavedNodeStates (what nodes were
                   like before they were changed for a while)
    Processes/     child processes: Worker speaks JSON lines, ChildProcess is their first code, Task takes one from start to
                   Outcome with its Progress; Run and its Results; Check; Inspection of a weights file; Training
    Views/         Comparison of before and after (LinkedViews, Difference, ErrorOverlays, Rendering, Layouts, SavedViews),
                   SliceMarks (acquired or synthesized: SliceKinds), WorstPlaceMark, TrainingPlots
    Widgets/       panels, no processing

Imports point down this list of folders: Widgets, Views, Session, Processes, Parameters, Setup, Scene. No PyTorch here: the
networks run in child processes only.
"""
