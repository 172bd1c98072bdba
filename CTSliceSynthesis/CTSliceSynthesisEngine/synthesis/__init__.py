"""Synthesis of thin slices: planning a run, the three views, their fusion, and classical interpolation.

Start reading at `pipeline`; `plan` and `classical` work without PyTorch.
"""
