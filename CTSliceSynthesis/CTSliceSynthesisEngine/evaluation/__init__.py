"""Is it true: metrics against held-out slices, and their tables, reports and pictures."""
