"""Networks: architectures, recipes and checkpoints. Independent of volumes."""
