"""Evaluation of trained weights: held-out scans, view weights, error calibration, and the check of adapted models."""
