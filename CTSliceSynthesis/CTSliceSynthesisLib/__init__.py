"""Slicer side of the module: connects the panel, the scene and the engine.

    Logic          scripting interface: increase, check, train, export, transfer segmentations
    Session        one run from start to outcome; entry point for both scripts and the panel
    Sequences      runs a session for every frame of a sequence; Batch: for every scan of a folder
    Parameters     user choices, stored in the scene or in Slicer's settings
    Messages       all pop-ups

    Setup/         prerequisites of a run: PyTorch (Requirements, the only code that installs it) and a model
                   (Models; ModelFolder: user-added models; ModelCard: model cards as HTML)
    Scene/         nodes: VolumeNodes (the only code that exchanges voxels with a child), SequenceNodes, Origin (provenance),
                   DrawnOnScan (segmentations and label maps of a scan), SampleScans, SavedNodeStates (node
                   properties to be restored)
    Processes/     child processes: Worker reads JSON lines, ChildProcess is their bootstrap code, Task monitors one from
                   start to Outcome and reports Progress; Run and its Results; Check; Training; LabelTransfer (drawings to a
                   result's grid); DicomExport; Inspection of a weights file
    Views/         Comparison of before and after (LinkedViews, Difference, ErrorOverlays, Rendering, Layouts, SavedViews),
                   SliceMarks (acquired or synthesized: SliceKinds), WorstPlaceMark, TrainingPlots
    Widgets/       panels; no processing

Each of these imports only from those after it: Widgets, Views, Session, Processes, Parameters, Setup, Scene. PyTorch is
never imported here: the networks run in child processes only.
"""
