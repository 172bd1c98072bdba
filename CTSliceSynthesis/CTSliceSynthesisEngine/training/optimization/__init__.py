"""Optimization: the training loop, one step on any device, process groups, and the state to resume from."""
