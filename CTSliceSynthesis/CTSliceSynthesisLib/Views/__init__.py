"""Slicer's views: comparison, overlays, marks, plots, and restoring the previous state."""
