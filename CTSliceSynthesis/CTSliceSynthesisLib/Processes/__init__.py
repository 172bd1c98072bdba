"""Child processes that run the engine: one run, a check, an inspection, a training."""
