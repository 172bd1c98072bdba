"""Thick in, thin out: the plan of a run, three views, their fusion, and the classical methods.

`pipeline` tells the story on one screen; `plan` and `classical` work without PyTorch.
"""
