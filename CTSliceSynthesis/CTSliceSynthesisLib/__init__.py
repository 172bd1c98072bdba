"""The Slicer side: what lies between the panel, the scene and the engine.

    Parameters     what the user chose: kept in the scene, or on this machine
    VolumeNodes    the one place that touches voxels: scene -> file -> scene
    Models         the models there are, and their cards in words
    Requirements   what is missing, and the one place that installs
    Worker         a child process that speaks JSON lines, and can be ended
    ChildProcess   the first code of that process: it never outlives Slicer
    Progress       how far a run is
    Run            what is known of one run, and what is concluded from it
    Session        runs from start to outcome; the one door for scripts and the panel
    Messages       every pop-up
    Widgets        panels, no processing

No PyTorch here: the engine's networks run in the child process only.
"""
