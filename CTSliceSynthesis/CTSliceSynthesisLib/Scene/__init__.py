"""Nodes of the scene: scans, results, sequences, and how a result remembers where it came from."""
