"""Training data: scans, the cohort, and the crops drawn from them."""
