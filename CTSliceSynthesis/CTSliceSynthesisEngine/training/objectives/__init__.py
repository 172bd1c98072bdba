"""What a step makes small: the answers of the three views, and the terms that score them."""
