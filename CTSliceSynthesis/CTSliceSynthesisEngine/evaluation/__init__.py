"""Evaluation on held-out slices: metrics, tables, reports and pictures."""
