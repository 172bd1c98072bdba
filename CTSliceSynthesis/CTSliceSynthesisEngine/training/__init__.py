"""Learning from thick scans alone, and from thin ones where a cohort has them."""
