"""Prerequisites of a run: PyTorch and a model."""
