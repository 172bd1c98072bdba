"""What is measured on trained weights: held-out scans, view weights, the size of errors, and the report."""
