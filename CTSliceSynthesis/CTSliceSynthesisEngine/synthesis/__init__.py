"""Thick in, thin out. `pipeline` tells the story; `plan` and `classical` work without PyTorch."""
