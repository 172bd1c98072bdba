"""What a network is: architectures, recipes and the files that carry weights. PyTorch only; knows nothing of volumes."""
