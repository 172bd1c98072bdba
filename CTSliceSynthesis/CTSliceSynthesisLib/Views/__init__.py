"""What the views show: before and after, overlays, marks, plots, and how everything goes back."""
