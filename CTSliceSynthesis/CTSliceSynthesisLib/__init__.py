"""The Slicer side: what lies between the panel, the scene and the engine.

    Parameters     what the user chose: kept in the scene, or on this machine
    VolumeNodes    the one place that touches voxels: scene -> file -> scene
    Models         the models there are; ModelFolder those of this computer, ModelCard their cards in words
    Requirements   what is missing, and the one place that installs
    Worker         a child process that speaks JSON lines, and can be ended
    ChildProcess   the first code of that process: it never outlives Slicer
    Task           what runs, checks and trainings have in common: one child process, from start to Outcome
    Progress       how far a run is
    Run            what is known of one run, and what is concluded from it
    Results        the finished volumes; Origin is what they remember of how they were made
    Session        runs from start to outcome; the one door for scripts and the panel
    Sequences      every frame of a sequence through that door
    Check          measures a model on the very scan; PlaceMark marks the worst place
    Inspection     reads a weights file strictly before it becomes a model
    Training       trains on TrainingScans in the background; Curves draws how it goes
    Batch          a folder of studies, as a script or from the console
    Comparison     before and after in the views, with Difference, Doubt (the overlays) and Rendering; Remembered puts all back
    LinkedViews    one plane, one scale and one window in all views that are compared
    Layouts        whose layout lies above whose; SavedViews puts the views of a scene back that was saved while comparing
    SliceMarks     tells in each view which slices were acquired; SliceKinds is the geometry of it
    SampleScans    what the module Sample Data offers of ours
    Messages       every pop-up
    Widgets        panels, no processing

No PyTorch here: the engine's networks run in the child process only.
"""
