"""What a network is: architectures, recipes, and the checkpoints that carry weights. Knows nothing of volumes."""
