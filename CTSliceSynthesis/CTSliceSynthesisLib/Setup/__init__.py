"""What a run needs before it starts: PyTorch, and a model."""
