"""Child processes that run the engine: synthesis, checks, weights-file inspection, training and DICOM export."""
