"""Training objectives: predictions of the three views, and the loss terms."""
